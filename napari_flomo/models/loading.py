"""Load the network of a model folder after verification, and save one.

A model is a folder with ``card.json`` and ``model.safetensors``. Weights are never unpickled: a
pickle can run any program when it is opened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write_all
from napari_flomo.models.card import (
    CARD_FILE,
    GRAPH_FILE,
    WEIGHTS_FILE,
    ModelCard,
    card_text,
    read_card,
)
from napari_flomo.models.checksums import fingerprint

if TYPE_CHECKING:
    import torch
    from torch import nn

PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".tar"}
"""File suffixes of pickled weights, which are never loaded."""


class DamagedWeights(FlomoError):
    """The weights do not have the SHA-256 that their card states."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; get the model again.")
        self.problem = problem


def model_folder(path: Path) -> Path:
    """Return the folder of a model, given the folder, its card or its weights file."""
    if path.suffix.lower() in PICKLES and not path.is_dir():
        raise FlomoError(
            f"{path} looks like a pickled checkpoint, which could run any program when opened and "
            f"is never loaded; give a folder with {CARD_FILE} and {WEIGHTS_FILE}."
        )
    if path.name in (CARD_FILE, WEIGHTS_FILE) and path.is_file():
        path = path.parent
    if not path.exists():
        raise FlomoError(f"There is no model folder {path}; check the path.")
    if not path.is_dir():
        raise FlomoError(
            f"{path} is not a model; give the name of one, or a folder with {CARD_FILE} and "
            f"{WEIGHTS_FILE}."
        )
    if not (path / CARD_FILE).is_file():
        raise FlomoError(
            f"The folder {path} holds no model: it has no {CARD_FILE}; "
            f"give a folder with {CARD_FILE} and {WEIGHTS_FILE}."
        )
    return path


def verified_card(folder: Path) -> ModelCard:
    """Return the card of a model folder; raise if a file is missing or damaged."""
    card = read_card(folder / CARD_FILE)
    if fingerprint(folder / WEIGHTS_FILE).sha256 != card.sha256:
        raise DamagedWeights(
            f"The weights of {card.name} are damaged or were changed: {folder / WEIGHTS_FILE} does "
            "not have the SHA-256 that its card states"
        )
    return card


def load_network(folder: Path, device: str | torch.device = "cpu") -> tuple[nn.Module, ModelCard]:
    """Build the network of a model folder and load its weights after verification.

    Parameters
    ----------
    folder
        With ``card.json`` and ``model.safetensors``.
    device
        Device of the network.

    Returns
    -------
    network : torch.nn.Module
        Float32, in evaluation mode.
    card : ModelCard
        The card of the model.

    Raises
    ------
    DamagedWeights
        If the weights are damaged or were changed.
    FlomoError
        If the card is not valid, a file is missing, PyTorch is not installed, or the weights do not
        fit the card; then the tensor is named.
    """
    card = read_card(folder / CARD_FILE)
    if importlib.util.find_spec("torch") is None:
        raise FlomoError(
            f"The network of {card.name} needs PyTorch, which is not installed; run: "
            "pip install 'napari-flomo[torch]'."
        )
    tensors = _read_weights(folder / WEIGHTS_FILE, card)
    network = build_network(card)
    _fill(network, tensors, card)
    return network.to(device).eval(), card


def build_network(card: ModelCard) -> nn.Module:
    """Build the network that a card describes, with random weights.

    Raises
    ------
    FlomoError
        If this version has no such network or the arguments are not valid for it.
    """
    from napari_flomo import networks

    if card.network not in networks.NETWORKS:
        raise FlomoError(
            f"The card of {card.name} names the network {card.network!r}, which this version "
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
            f"The card of {card.name} does not fit its network {card.network}: {error}; "
            "get the model again or update napari-flomo."
        ) from error
    problem = _unfit(network, card)
    if problem is not None:
        raise FlomoError(f"The card of {card.name} does not fit its network: {problem}.")
    return network


def save_model(
    folder: str | os.PathLike[str],
    network: nn.Module,
    card: ModelCard,
    dtype: str = "float16",
) -> ModelCard:
    """Save a model: card and weights together, or nothing.

    Only kernels and matrices are stored in half precision. Vectors (biases, norms), buffers (such
    as running variances, which are divided by) and tensors with values outside the range of float16
    stay in float32; together they are a hundredth of the file.

    Parameters
    ----------
    folder
        Destination; created when missing. A model in it is overwritten.
    network
        Must fit the card; may be on any device.
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
    text = card_text(card)  # raises before anything is written if metrics are not JSON

    target = Path(folder)
    new = not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlomoError(f"The folder {target} cannot be created: {reason_of(error)}.") from error
    try:
        with atomic_write_all([target / WEIGHTS_FILE, target / CARD_FILE]) as (weights, card_file):
            weights.write_bytes(content)
            card_file.write_text(text, encoding="utf-8")
        (target / GRAPH_FILE).unlink(missing_ok=True)  # of the weights before
    except BaseException:
        if new and not any(target.iterdir()):
            target.rmdir()
        raise
    return card


def _read_weights(path: Path, card: ModelCard) -> dict[str, torch.Tensor]:
    """Read the file once, so that exactly the verified bytes are parsed."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FlomoError(
            f"The weights of {card.name} are missing ({path}); get the model again."
        ) from error
    except OSError as error:
        raise FlomoError(f"The weights {path} cannot be read: {reason_of(error)}.") from error
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise DamagedWeights(
            f"The weights of {card.name} are damaged or were changed: {path} does not have the "
            "SHA-256 that its card states"
        )
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FlomoError(
            f"The weights of {card.name} are not a safetensors file ({path}); get the model again."
        ) from error


def _stored(network: nn.Module, half: bool) -> dict[str, torch.Tensor]:
    """Return the tensors to save, contiguous and on the CPU."""
    import torch

    largest = torch.finfo(torch.float16).max
    learned = {name for name, parameter in network.named_parameters() if parameter.ndim >= 2}
    tensors = {}
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue  # counters of batch norms, not needed for inference
        value = tensor.detach().to("cpu", torch.float32)
        if not torch.isfinite(value).all():
            raise FlomoError(
                f"The weights were not saved: {name} holds NaN or infinity, so the training went "
                "wrong."
            )
        if half and name in learned and value.abs().max() <= largest:
            value = value.half()
        tensors[name] = value.contiguous().clone()  # two names may share memory
    return tensors


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor], card: ModelCard) -> None:
    """Copy the tensors into the network in float32; every name and shape must match."""
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }
    problem = _mismatch(expected, {name: tuple(t.shape) for name, t in tensors.items()})
    if problem is not None:
        raise FlomoError(
            f"The weights do not fit the card of {card.name} ({card.network}, "
            f"{card.in_channels} channel(s), {card.num_classes} class(es)): {problem}."
        )
    network.load_state_dict({name: t.float() for name, t in tensors.items()}, strict=False)


def _unfit(network: nn.Module, card: ModelCard) -> str | None:
    """Return why a network cannot process the output of the card's preprocessing, or None."""
    form = getattr(network, "form", None)
    if form is None:
        return None
    if not form.unit_input:
        return (
            "it expects intensities from 0 to 255, but preprocessing yields 0 to 1; add "
            '"unit_input": true to its network_arguments'
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
    """Return what is wrong with the first tensor that differs, or None."""
    for name, shape in expected.items():
        if name not in found:
            return f"the tensor {name} is missing"
        if found[name] != shape:
            return f"the tensor {name} has the shape {found[name]} instead of {shape}"
    extra = next((name for name in found if name not in expected), None)
    return None if extra is None else f"the network has no tensor {extra}"
