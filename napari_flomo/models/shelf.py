"""The shelf: find a model by name or folder, verify it, load it, save a new one.

A model is a folder with ``card.json`` and ``model.safetensors``. Weights are never unpickled: a
pickle can run any program when it is opened.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write_all
from napari_flomo.models import cache
from napari_flomo.models.card import ModelCard, card_text, read_card
from napari_flomo.models.hub import Progress
from napari_flomo.models.index import read_index

if TYPE_CHECKING:
    import torch
    from torch import nn

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
BUNDLED = Path(__file__).parent / "bundled"

_PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".tar"}


def available() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(card.parent.name for card in BUNDLED.glob(f"*/{CARD_FILE}"))


def locate(
    model: str | os.PathLike[str],
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Return the folder of a model: bundled, tuned, fetched before, or fetched now from the Hub.

    Parameters
    ----------
    model
        ``name`` or ``name@revision`` of one of our models, the name of a tuned model on this
        computer, ``hf:organisation/name@revision``, or a folder that holds a model (or its card or
        weights file). A branch or tag stays the commit that it was when it was first fetched, until
        `pull` looks it up again.
    progress
        Called with bytes done, bytes in all and seconds left while files are fetched.
    cancelled
        Asked many times a second while files are fetched.

    Raises
    ------
    FlomoError
        If there is no such model (the nearest name is suggested), or it cannot be fetched.
    """
    if not isinstance(model, str):
        return local_folder(os.fspath(model))
    if model in available():
        return BUNDLED / model
    from napari_flomo.models import library

    folder = library.find(model)
    return library.pull(model, progress, cancelled) if folder is None else folder


def local_folder(name: str) -> Path:
    """Return the folder of a model that is given by a path.

    Raises
    ------
    FlomoError
        If there is none; the nearest name is suggested.
    """
    path = Path(name).expanduser()
    if path.suffix.lower() in _PICKLES and not path.is_dir():
        raise FlomoError(
            f"{path} looks like a pickled checkpoint, which could run any program when opened and "
            f"is never loaded; give a folder with {CARD_FILE} and {WEIGHTS_FILE}."
        )
    if path.name in (CARD_FILE, WEIGHTS_FILE) and path.is_file():
        path = path.parent
    if path.is_dir():
        if not (path / CARD_FILE).is_file():
            raise FlomoError(
                f"The folder {path} holds no model: it has no {CARD_FILE}; "
                f"give a folder with {CARD_FILE} and {WEIGHTS_FILE}."
            )
        return path
    if path.exists():
        raise FlomoError(
            f"{path} is not a model; give the name of one, or a folder with {CARD_FILE} and "
            f"{WEIGHTS_FILE}."
        )
    raise FlomoError(unknown(name))


def load_card(model: str | os.PathLike[str]) -> ModelCard:
    """Return the card of a model.

    Parameters
    ----------
    model
        Name or folder, as `locate` takes it.

    Raises
    ------
    FlomoError
        If there is no such model or its card is not valid.
    """
    return read_card(locate(model) / CARD_FILE)


def load_network(
    model: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> tuple[nn.Module, ModelCard]:
    """Build the network of a model and fill in its verified weights.

    Parameters
    ----------
    model
        Name or folder, as `locate` takes it.
    device
        Where the network shall live.

    Returns
    -------
    network : torch.nn.Module
        Float32, in evaluation mode.
    card : ModelCard
        What belongs to it.

    Raises
    ------
    FlomoError
        If the model is unknown, its card is wrong, its weights are missing, damaged or changed, or
        the two do not fit; then the tensor is named.
    """
    folder = locate(model)
    card = read_card(folder / CARD_FILE)
    tensors = _read_weights(folder / WEIGHTS_FILE, card)
    network = build_network(card)
    _fill(network, tensors, card)
    return network.to(device).eval(), card


def build_network(card: ModelCard) -> nn.Module:
    """Build the network that a card asks for, with new weights.

    Raises
    ------
    FlomoError
        If this version has no such network or the arguments do not suit it.
    """
    from napari_flomo import networks

    if card.network not in networks.NETWORKS:
        raise FlomoError(
            f"The card of {card.name} asks for the network {card.network!r}, which this version "
            f"does not have (it has {', '.join(sorted(networks.NETWORKS))}); update napari-flomo."
        )
    try:
        network = networks.build(
            card.network,
            in_channels=card.in_channels,
            num_classes=card.num_classes,
            **card.network_arguments,
        )
    except ImportError as error:
        raise FlomoError(
            f"The network {card.network} of {card.name} needs a package that is not installed "
            f"({error}); run: pip install 'napari-flomo[train]'."
        ) from error
    except (TypeError, ValueError) as error:
        raise FlomoError(
            f"The card of {card.name} does not suit its network {card.network}: {error}; "
            "get the model again or update napari-flomo."
        ) from error
    complaint = _unfit(network, card)
    if complaint is not None:
        raise FlomoError(f"The card of {card.name} does not suit its network: {complaint}.")
    return network


def save_model(
    folder: str | os.PathLike[str],
    network: nn.Module,
    card: ModelCard,
    dtype: str = "float16",
) -> ModelCard:
    """Write a model: card and weights together, or nothing.

    Half precision is for learned kernels and matrices. Vectors (biases, norms) and buffers (above
    all running variances, which are divided by) stay in float32, as does a tensor whose values
    float16 cannot hold; they are a hundredth of the file.

    Parameters
    ----------
    folder
        Where to write; created when missing. A model in it is replaced.
    network
        Must fit the card; on any device.
    card
        Its ``sha256`` is filled in.
    dtype
        ``"float16"`` or ``"float32"``.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    FlomoError
        If the network does not fit the card, a weight is NaN or infinite, or the folder cannot be
        written.
    """
    from safetensors.torch import save

    if dtype not in ("float16", "float32"):
        raise FlomoError(f"Weights are saved as float16 or float32, not {dtype}.")
    tensors = _stored(network, half=dtype == "float16")
    _fill(build_network(card), tensors, card)
    content = save(tensors, metadata={"format": "pt"})
    card = card.with_sha256(hashlib.sha256(content).hexdigest())
    text = card_text(card)  # before anything is touched: metrics may not be JSON

    target = Path(folder)
    new = not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The folder {target} cannot be made: {reason}.") from error
    try:
        with atomic_write_all([target / WEIGHTS_FILE, target / CARD_FILE]) as (weights, card_file):
            weights.write_bytes(content)
            card_file.write_text(text, encoding="utf-8")
    except BaseException:
        if new and not any(target.iterdir()):
            target.rmdir()
        raise
    return card


def _read_weights(path: Path, card: ModelCard) -> dict[str, torch.Tensor]:
    """Read the file once; what was hashed is what is parsed."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FlomoError(
            f"The weights of {card.name} are missing ({path}); get the model again."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The weights {path} cannot be read: {reason}.") from error
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise FlomoError(
            f"The weights of {card.name} are damaged or were changed: {path} does not have the "
            f"SHA-256 that its card states; {_remedy(path)}."
        )
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FlomoError(
            f"The weights of {card.name} are not a safetensors file ({path}); get the model again."
        ) from error


def _stored(network: nn.Module, half: bool) -> dict[str, torch.Tensor]:
    """Return the tensors to save, on the CPU and contiguous."""
    import torch

    largest = torch.finfo(torch.float16).max
    learned = {name for name, parameter in network.named_parameters() if parameter.ndim >= 2}
    tensors = {}
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue  # batch norms count their batches; inference has no use for it
        value = tensor.detach().to("cpu", torch.float32)
        if not torch.isfinite(value).all():
            raise FlomoError(
                f"The weights were not saved: {name} holds NaN or infinity, so the training went "
                "wrong."
            )
        if half and name in learned and value.abs().max() <= largest:
            value = value.half()
        tensors[name] = value.contiguous().clone()  # two names may share one memory
    return tensors


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor], card: ModelCard) -> None:
    """Copy the tensors into the network, in float32, after every name and shape was compared."""
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }
    complaint = _mismatch(expected, {name: tuple(t.shape) for name, t in tensors.items()})
    if complaint is not None:
        raise FlomoError(
            f"The weights do not fit the card of {card.name} ({card.network}, "
            f"{card.in_channels} channel(s), {card.num_classes} class(es)): {complaint}."
        )
    network.load_state_dict({name: t.float() for name, t in tensors.items()}, strict=False)


def _unfit(network: nn.Module, card: ModelCard) -> str | None:
    """Say why a network could not work on what the card's preprocessing gives it, or None."""
    form = getattr(network, "form", None)
    if form is None:
        return None
    if not form.unit_input:
        return (
            'it takes intensities 0 to 255, but a card gives 0 to 1; add "unit_input": true to '
            "its network_arguments"
        )
    side = card.preprocessing.crop
    if not form.any_size and (side is None or side % 16):
        return f"it needs a 'crop' that is a multiple of 16, not {side}"
    if not form.inverse_dct and (side is None or side > 256):
        return f"it needs a 'crop' of at most 256 pixels, not {side}"
    return None


def _mismatch(
    expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> str | None:
    """Name the first tensor that differs, or None."""
    for name, shape in expected.items():
        if name not in found:
            return f"the tensor {name} is missing"
        if found[name] != shape:
            return f"the tensor {name} has the shape {found[name]} instead of {shape}"
    extra = next((name for name in found if name not in expected), None)
    return None if extra is None else f"the tensor {extra} has no place in the network"


def _remedy(weights: Path) -> str:
    """Put wrong weights of a fetched model aside and say how to get them again.

    Somebody's own folder is left as it is.
    """
    origin = cache.read_origin(weights.parent)
    if origin is None:
        return "get the model again"
    cache.set_aside(weights)
    return f"fetch it again with: flomo models pull {origin.source}"


def unknown(name: str) -> str:
    """Return the sentence for a name that is no model's, with the nearest one."""
    from napari_flomo.models import tuned

    names = [*available(), *tuned.names()]
    ours = sorted({*names, *read_index()})
    if os.sep in name or "/" in name or name.startswith((".", "~")):
        return f"There is no model folder {name}; check the path."
    near = difflib.get_close_matches(name.lower(), ours, n=1, cutoff=0.5)
    if near:
        return f"There is no model named {name!r}; did you mean {near[0]!r}?"
    listed = ", ".join(names) if names else "none"
    return f"There is no model named {name!r}; there are on this computer: {listed}."
