"""The shelf as a whole: list, pull, verify and remove models.

The command line, the viewers and the training use these functions alike. A model is named as
everywhere: ``name`` or ``name@revision`` for ours, ``hf:organisation/name@revision`` for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models import cache, hub, promotion, shelf, tuned
from napari_flomo.models.card import ModelCard, read_card
from napari_flomo.models.hub import FilePin, HubSource, Progress
from napari_flomo.models.index import COMMIT, read_index
from napari_flomo.models.listing import ModelState, list_models, size_of, structures
from napari_flomo.models.shelf import CARD_FILE, WEIGHTS_FILE

Cancel = Callable[[], bool]


@dataclass(frozen=True)
class Verdict:
    """What the check of a model's files found.

    Attributes
    ----------
    name, folder
        The model.
    problem
        One sentence; None when every file is what it must be.
    """

    name: str
    folder: Path
    problem: str | None


def info(model: str) -> tuple[ModelState, ModelCard]:
    """Return where a model is and its card; asks nothing of the network.

    Raises
    ------
    FlomoError
        If it is not on this computer.
    """
    folder = find(model)
    if folder is None:
        raise FlomoError(
            f"{model} is not on this computer; fetch it with: flomo models pull {model}."
        )
    card = read_card(folder / CARD_FILE)
    for state in list_models():
        if state.folder == folder:
            return state, card
    size, parent = size_of(folder), promotion.parent_of(card)[0] or None
    state = ModelState(card.name, structures(card), "folder", None, folder, size, "", parent)
    return state, card


def find(model: str) -> Path | None:
    """Return the folder of a model if it is on this computer; asks nothing of the network.

    A fetched model whose card was changed is not found: the card is put aside as ``card.json.bad``.

    Raises
    ------
    FlomoError
        If there can be no such model.
    """
    here = _without_source(model)
    if here is not None:
        return here
    source = source_of(model)
    if source is None:
        return shelf.local_folder(model)
    found = cache.find(source)
    if found is None:
        return None
    folder, origin = found
    pins = _index_pins(origin.source) or origin.pins
    # The card is small and decides everything; the weights are compared when they are read.
    if pins != origin.pins or cache.bad_files(folder, {CARD_FILE: pins[CARD_FILE]}):
        _set_aside(folder, cache.bad_files(folder, pins))
        return None
    return folder


def source_of(model: str) -> HubSource | None:
    """Return the place on the Hub that a name means; None if it is no name of that kind.

    Raises
    ------
    FlomoError
        If it is one of our models, but not published yet.
    """
    if hub.is_source(model):
        return hub.parse_source(model)
    name, at, revision = model.partition("@")
    entry = read_index().get(name)
    if entry is None:
        return None
    if not at and entry.source is None:
        raise FlomoError(
            f"{name} is not published on the Hub yet and does not come with this installation; "
            "give a folder with its files, or a repository as hf:organisation/name."
        )
    # Checked where a Hub address is, so that both are refused with the same words.
    return hub.parse_source(f"hf:{entry.repo}@{revision}") if at else entry.source


def pull(model: str, progress: Progress | None = None, cancelled: Cancel | None = None) -> Path:
    """Fetch a model from the Hub and return its folder; a bundled model is there already.

    Only files whose content was checked get their name: against the index of this package for our
    models; else the card against the hash that the Hub states, and the weights against the hash
    that the card states. A branch or tag is looked up anew.

    Parameters
    ----------
    model
        ``name``, ``name@revision`` or ``hf:organisation/name@revision``.
    progress
        Called with bytes done, bytes in all, seconds left.
    cancelled
        Asked many times a second; what was fetched stays for the next attempt.

    Raises
    ------
    FlomoError
        One sentence for every failure; nothing that is not checked is left under its name.
    """
    here = _without_source(model)
    if here is not None:
        return here
    source = source_of(model)
    if source is None:
        raise FlomoError(
            f"{shelf.local_folder(model)} is a folder of your own; pull takes the name of a model "
            "or a repository as hf:organisation/name@revision."
        )
    fixed = source
    if source.revision is None or COMMIT.fullmatch(source.revision) is None:
        fixed = HubSource(source.repo, _commit_of(source, cancelled))
    folder = cache.commit_folder(fixed)
    known = _index_pins(fixed)
    there = cache.find(fixed)
    if there is None or cache.bad_files(folder, known or there[1].pins):
        _fetch(fixed, folder, known, progress, cancelled)
    elif fixed == source:
        return folder
    cache.record(folder, fixed, [CARD_FILE, WEIGHTS_FILE], source)
    return folder


def verify(models: Iterable[str] | None = None) -> list[Verdict]:
    """Read every file of some models, by default of all on this computer, and compare its hash.

    A wrong file of a fetched model is put aside (``*.bad``), so that it cannot be used. Nothing is
    asked of the network.

    Raises
    ------
    FlomoError
        If one of the named models is not on this computer.
    """
    if models is not None:
        return [_verdict(model, _here(model)) for model in models]
    ours = [(name, shelf.BUNDLED / name) for name in shelf.available()]
    ours += [(str(origin.source), folder) for folder, origin in cache.installed()]
    ours += [(name, tuned.tuned_folder() / name) for name in tuned.names()]
    return [_verdict(name, folder) for name, folder in ours]


def remove(model: str) -> int:
    """Delete a fetched or a tuned model and return the bytes that this freed.

    Without a revision all fetched revisions of it are deleted. Bundled models and the user's own
    folders are not touched.

    Raises
    ------
    FlomoError
        If no such model was fetched or tuned, or a tuned one is in use.
    """
    if tuned.find(model) is not None and model not in shelf.available():
        return tuned.delete(model)
    source = source_of(model) if "@" in model or hub.is_source(model) else _repo_of(model)
    if source is None:
        kind = "comes with the package" if model in shelf.available() else "was not fetched"
        raise FlomoError(
            f"{model} {kind}, so there is nothing to remove; `flomo models list` shows what is "
            "here."
        )
    if "@" in model:
        fixed = cache.pinned(source)
        folder = None if fixed is None else cache.commit_folder(fixed)
    else:
        folder = cache.repo_folder(source.repo)
    if folder is None or not folder.is_dir():
        raise FlomoError(
            f"{model} was not fetched, so there is nothing to remove; `flomo models list` shows "
            "what is here."
        )
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    cache.delete(folder)
    return freed


def _without_source(model: str) -> Path | None:
    """Return the folder of a bundled or tuned model; these names come before all others."""
    if model in shelf.available():
        return shelf.BUNDLED / model
    return tuned.find(model)


def _fetch(
    source: HubSource,
    folder: Path,
    known: dict[str, FilePin] | None,
    progress: Progress | None,
    cancelled: Cancel | None,
) -> None:
    """Bring the files of a commit into its folder, each compared before it gets its name."""
    if known is None:
        hub.download(source, folder, {CARD_FILE: None}, None, cancelled)
        card = read_card(folder / CARD_FILE)  # before megabytes are fetched for a wrong one
        hub.download(source, folder, {WEIGHTS_FILE: None}, progress, cancelled)
    else:
        hub.download(source, folder, known, progress, cancelled)
        card = read_card(folder / CARD_FILE)
    if cache.fingerprint(folder / WEIGHTS_FILE).sha256 != card.sha256:
        _set_aside(folder, [WEIGHTS_FILE])
        raise FlomoError(
            f"The weights of {source} are not those that their card describes, so they are not "
            "used; ask the publisher to publish the model again."
        )


def _commit_of(source: HubSource, cancelled: Cancel | None) -> str:
    """Look up which commit a branch or tag is now."""
    return hub.download(source, cache.repo_folder(source.repo), {}, None, cancelled)


def _index_pins(source: HubSource) -> dict[str, FilePin] | None:
    """Return what the index of the package knows of a repository at a commit."""
    for entry in read_index().values():
        if entry.source == source:
            return entry.pins
    return None


def _repo_of(name: str) -> HubSource | None:
    entry = read_index().get(name)
    if entry is None or not cache.repo_folder(entry.repo).is_dir():
        return None
    return HubSource(entry.repo)


def _here(model: str) -> Path:
    """Return the folder of a model, whatever is wrong with its files."""
    here = _without_source(model)
    if here is not None:
        return here
    source = source_of(model)
    if source is None:
        return shelf.local_folder(model)
    fixed = cache.pinned(source)
    folder = None if fixed is None else cache.commit_folder(fixed)
    if folder is None or cache.read_origin(folder) is None:
        raise FlomoError(
            f"{model} is not on this computer; fetch it with: flomo models pull {model}."
        )
    return folder


def _verdict(name: str, folder: Path) -> Verdict:
    origin = cache.read_origin(folder)
    try:
        if origin is not None:
            wrong = cache.bad_files(folder, _index_pins(origin.source) or origin.pins)
            _set_aside(folder, wrong)
            if wrong:
                raise FlomoError(
                    f"{' and '.join(wrong)} of {name} were damaged or changed and are not used; "
                    f"fetch them again with: flomo models pull {origin.source}."
                )
        card = read_card(folder / CARD_FILE)
        if cache.fingerprint(folder / WEIGHTS_FILE).sha256 != card.sha256:
            raise FlomoError(
                f"The weights of {name} do not have the SHA-256 that its card states "
                f"({folder}); get the model again."
            )
    except FlomoError as error:
        return Verdict(name, folder, str(error))
    return Verdict(name, folder, None)


def _set_aside(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if (folder / name).exists():
            cache.set_aside(folder / name)
