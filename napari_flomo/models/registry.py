"""Models by name: find, download, load, verify and remove them.

A model is named ``name`` or ``name@revision`` for one of ours, ``hf:organisation/name@revision``
for any other on the Hub, by its name for one that was tuned on this computer, or by its folder.
`AUTOMATIC` without an image is the parent of the default family.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import cache, hub, index, loading, tuned
from napari_flomo.models.card import (
    CARD_FILE,
    GRAPH_FILE,
    WEIGHTS_FILE,
    ModelCard,
    read_card,
)
from napari_flomo.models.checksums import FilePin, bad_files, fingerprint, set_aside
from napari_flomo.models.family import AUTOMATIC, in_use
from napari_flomo.models.hub import HubSource
from napari_flomo.models.promotion_file import tuned_folder
from napari_flomo.progress import ProgressCallback

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class VerificationResult:
    """Result of the verification of a model's files.

    Attributes
    ----------
    name, folder
        The model.
    problem
        One sentence; None when every file has the expected content.
    """

    name: str
    folder: Path
    problem: str | None


def locate(model: str | os.PathLike[str], progress: ProgressCallback | None = None) -> Path:
    """Return the folder of a model; one that is not on this computer is downloaded.

    Parameters
    ----------
    model
        ``name`` or ``name@revision`` of one of our models, the name of a tuned model on this
        computer, ``hf:organisation/name@revision``, or a folder that holds a model (or its card or
        weights file). A branch or tag stays the commit that it was when it was first downloaded,
        until `pull` looks it up again.
    progress
        Called during a download with the bytes that are done.

    Raises
    ------
    FlomoError
        If there is no such model (the nearest name is suggested), or it cannot be downloaded.
    """
    if not isinstance(model, str):
        return local_folder(os.fspath(model))
    folder = find(model)
    return pull(model, progress) if folder is None else folder


def find(model: str) -> Path | None:
    """Return the folder of a model on this computer, or None, without network access.

    A downloaded model whose card was changed is not found: the card is renamed to
    ``card.json.bad``.
    """
    source = _folder_or_source(model)
    if isinstance(source, Path):
        return source
    found = cache.find(source)
    if found is None:
        return None
    folder, origin = found
    pins = _pins(origin)
    # The card is small and decides everything; the weights are compared when they are loaded.
    if pins != origin.pins or bad_files(folder, {CARD_FILE: pins[CARD_FILE]}):
        for file in bad_files(folder, pins):
            set_aside(folder / file)
        return None
    return folder


def pull(model: str, progress: ProgressCallback | None = None) -> Path:
    """Download a model from the Hub and return its folder.

    Files get their final name only after verification: against the index of this package for our
    models; else the card against the hash that the Hub states, and the weights against the hash in
    the card. A branch or tag is looked up again. A bundled or tuned model is already there.

    Parameters
    ----------
    model
        ``name``, ``name@revision`` or ``hf:organisation/name@revision``.
    progress
        Called with the bytes that are done.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    """
    folder = _local_model(model)
    if folder is not None:
        return folder
    source = _source_of(model)
    if source is None:
        raise FlomoError(
            f"{local_folder(model)} is a folder of your own; pull takes the name of a model or a "
            "repository as hf:organisation/name@revision."
        )
    if source.is_pinned and _is_verified(source):
        return cache.commit_folder(source)
    snapshot = hub.look_up(source)
    folder = cache.commit_folder(snapshot.source)
    if not _is_verified(snapshot.source):
        _download(snapshot, folder, progress)
    cache.record(folder, snapshot.source, read_card(folder / CARD_FILE).files, source)
    return folder


def load_card(model: str | os.PathLike[str]) -> ModelCard:
    """Return the card of a model (a name or folder, see `locate`).

    Raises
    ------
    FlomoError
        If there is no such model or its card is not valid.
    """
    return read_card(locate(model) / CARD_FILE)


def load_network(
    model: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> tuple[nn.Module, ModelCard]:
    """Build the network of a model (a name or folder, see `locate`) and load its verified weights.

    Returns
    -------
    network : torch.nn.Module
        Float32, in evaluation mode.
    card : ModelCard
        The card of the model.

    Raises
    ------
    FlomoError
        If the model is unknown, its card is not valid, its weights are missing, damaged or
        changed, or do not fit the card; then the tensor is named.
    """
    folder = locate(model)
    with _set_aside_if_damaged(folder):
        return loading.load_network(folder, device)


@contextmanager
def _set_aside_if_damaged(folder: Path) -> Iterator[None]:
    """Rename damaged weights of a downloaded model, so that they are downloaded again."""
    try:
        yield
    except loading.DamagedWeights as error:
        origin = cache.read_origin(folder)
        if origin is None:  # a folder of the user is not changed
            raise
        set_aside(folder / WEIGHTS_FILE)
        raise FlomoError(
            f"{error.problem}; download it again with: flomo models pull {origin.source}."
        ) from error


def open_model(model: str | os.PathLike[str]) -> tuple[Path, ModelCard]:
    """Return folder and card of a model (a name or folder, see `locate`) with verified weights.

    The network is not built, so this needs no PyTorch. Raises what `load_network` raises.
    """
    folder = locate(model)
    with _set_aside_if_damaged(folder):
        return folder, loading.verified_card(folder)


def verify(models: Iterable[str] | None = None) -> list[VerificationResult]:
    """Read every file of some models, by default of all on this computer, and compare its hash.

    A wrong file of a downloaded model is renamed to ``*.bad``, so that it cannot be used. Never
    uses the network.

    Raises
    ------
    FlomoError
        If one of the named models is not on this computer.
    """
    if models is not None:
        return [_verify(model, _folder_of(model)) for model in models]
    found = [(name, index.BUNDLED / name) for name in index.available()]
    found += [(str(origin.source), folder) for folder, origin in cache.downloaded()]
    found += [(name, tuned_folder() / name) for name in tuned.names()]
    return [_verify(name, folder) for name, folder in found]


def remove(model: str) -> int:
    """Delete a downloaded or tuned model and return the bytes that this freed.

    Without a revision, all downloaded revisions are deleted. Bundled models and the user's own
    folders are never touched.

    Raises
    ------
    FlomoError
        If no such model was downloaded or tuned, or a tuned one is in use.
    """
    if tuned.find(model) is not None and model not in index.available():
        return tuned.delete(model)
    folder = None
    if "@" in model:
        source = _source_of(model)
        pinned = None if source is None else cache.resolve(source)
        folder = None if pinned is None else cache.commit_folder(pinned)
    elif hub.is_source(model):
        folder = cache.repo_folder(hub.parse_source(model).repo)
    elif (entry := index.read_index().get(model)) is not None:
        folder = cache.repo_folder(entry.repo)
    if folder is None or not folder.is_dir():
        reason = "is bundled" if model in index.available() else "was not downloaded"
        raise FlomoError(
            f"{model} {reason}, so there is nothing to remove; `flomo models list` shows what is "
            "on this computer."
        )
    return cache.delete(folder)


def not_downloaded(model: str) -> FlomoError:
    """Return the error for a model that would have to be downloaded first."""
    return FlomoError(
        f"{model} is not on this computer; download it with: flomo models pull {model}."
    )


def local_folder(name: str) -> Path:
    """Return the folder of a model given by a path, or raise and suggest the nearest name."""
    path = Path(name).expanduser()
    if path.exists() or path.suffix.lower() in loading.PICKLES:
        return loading.model_folder(path)
    if os.sep in name or "/" in name or name.startswith((".", "~")):
        raise FlomoError(f"There is no model folder {name}; check the path.")
    names = [*index.available(), *tuned.names()]
    known = sorted({*names, *index.read_index()})
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    if near:
        raise FlomoError(f"There is no model named {name!r}; did you mean {near[0]!r}?")
    listed = ", ".join(names) if names else "none"
    raise FlomoError(f"There is no model named {name!r}; there are on this computer: {listed}.")


def _local_model(model: str) -> Path | None:
    """Return the folder of a bundled or tuned model; these names come before all others."""
    if model == AUTOMATIC:
        model = in_use(DEFAULT_MODEL)
    if model in index.available():
        return index.BUNDLED / model
    return tuned.find(model)


def _folder_or_source(model: str) -> Path | HubSource:
    """Return the folder of a model that needs no download, or the source of one on the Hub."""
    folder = _local_model(model)
    if folder is not None:
        return folder
    source = _source_of(model)
    return local_folder(model) if source is None else source


def _source_of(model: str) -> HubSource | None:
    """Return the source of a model on the Hub; None for a name that is not in the index."""
    if hub.is_source(model):
        return hub.parse_source(model)
    name, at, revision = model.partition("@")
    entry = index.read_index().get(name)
    if entry is None:
        return None
    if not at and entry.source is None:
        raise FlomoError(
            f"{name} is not published on the Hub yet and is not part of this installation; give a "
            "folder with its files, or a repository as hf:organisation/name."
        )
    return hub.parse_source(f"hf:{entry.repo}@{revision}") if at else entry.source


def _pins(origin: cache.Origin) -> dict[str, FilePin]:
    """Return the expected files of a downloaded model: by the index, else when downloaded."""
    entry = index.entry_of(origin.source)
    return origin.pins if entry is None else entry.pins


def _is_verified(source: HubSource) -> bool:
    """Return True if a pinned source was downloaded and all its files have the right content."""
    found = cache.find(source)
    if found is None:
        return False
    folder, origin = found
    return not bad_files(folder, _pins(origin))


def _download(snapshot: hub.Snapshot, folder: Path, progress: ProgressCallback | None) -> None:
    entry = index.entry_of(snapshot.source)
    if entry is not None:
        hub.download(snapshot, folder, entry.pins, progress)
        card = read_card(folder / CARD_FILE)
    else:
        hub.download(snapshot, folder, {CARD_FILE: None})
        card = read_card(folder / CARD_FILE)  # an invalid one ends here, without the weights
        hub.download(snapshot, folder, {WEIGHTS_FILE: None}, progress)
        if card.graph is not None:
            hub.download(snapshot, folder, {GRAPH_FILE: None}, progress)
    if fingerprint(folder / WEIGHTS_FILE).sha256 != card.sha256:
        set_aside(folder / WEIGHTS_FILE)
        raise FlomoError(
            f"The weights of {snapshot.source} are not those that their card describes, so they "
            "are not used; ask the publisher to publish the model again."
        )


def _folder_of(model: str) -> Path:
    """Return the folder of a model on this computer, even if its files are damaged."""
    source = _folder_or_source(model)
    if isinstance(source, Path):
        return source
    pinned = cache.resolve(source)
    folder = None if pinned is None else cache.commit_folder(pinned)
    if folder is None or cache.read_origin(folder) is None:
        raise not_downloaded(model)
    return folder


def _verify(name: str, folder: Path) -> VerificationResult:
    origin = cache.read_origin(folder)
    try:
        if origin is not None:
            wrong = bad_files(folder, _pins(origin))
            for file in wrong:
                set_aside(folder / file)
            if wrong:
                raise FlomoError(
                    f"{' and '.join(wrong)} of {name} were damaged or changed and are not used; "
                    f"download them again with: flomo models pull {origin.source}."
                )
        card = loading.verified_card(folder)
        if card.graph and fingerprint(folder / GRAPH_FILE).sha256 != card.graph.sha256:
            raise FlomoError(f"The graph of {name} is damaged ({folder}); get the model again.")
    except FlomoError as error:
        return VerificationResult(name, folder, str(error))
    return VerificationResult(name, folder, None)
