"""All models with their locations and whether they are in use; never uses the network."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models import cache, index, promotion, registry, tuned
from napari_flomo.models.card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card
from napari_flomo.models.index import IndexEntry
from napari_flomo.models.promotion_file import promoted_for, promotions, tuned_folder


@dataclass(frozen=True)
class ModelState:
    """One model and where it is.

    Attributes
    ----------
    name
        What to ask for.
    summary
        What it segments.
    place
        ``"bundled"`` with the package, ``"fetched"`` to this computer, ``"tuned"`` on it,
        ``"online"`` on the Hub only, or ``"unpublished"``: named in the index, but nowhere to be
        had yet.
    source
        Repository and commit on the Hub, ``"hf:organisation/name@commit"``, or None.
    folder
        Where it lies on this computer, or None.
    size
        Bytes of its files, or None where that is not known.
    state
        ``"in use"``: it was promoted and stands for its base model; ``"replaced"``: a promoted one
        stands for it; ``"candidate"``: tuned, not promoted. Empty where none of this applies.
    parent
        Name of the model that it was tuned from, or None.
    """

    name: str
    summary: str
    place: str
    source: str | None = None
    folder: Path | None = None
    size: int | None = None
    state: str = ""
    parent: str | None = None


def list_models() -> list[ModelState]:
    """Return our models, then all other downloaded ones, then all tuned ones."""
    entries = index.read_index()
    ours = [*entries, *(name for name in index.available() if name not in entries)]
    states = [_state_of(name, entries.get(name)) for name in ours]
    shown = {state.source for state in states if state.place == "fetched"}
    for folder, origin in cache.downloaded():
        source = str(origin.source)
        if source in shown or cache.find(origin.source) is None:
            continue
        states.append(ModelState(source, _summary(folder), "fetched", source, folder, origin.size))
    return [*states, *map(_tuned_state, tuned.names())]


def info(model: str) -> tuple[ModelState, ModelCard]:
    """Return state and card of a model.

    Raises
    ------
    FlomoError
        If it is not on this computer.
    """
    folder = registry.find(model)
    if folder is None:
        raise registry.not_here(model)
    card = read_card(folder / CARD_FILE)
    for state in list_models():
        if state.folder == folder:
            return state, card
    size, parent = _size_of(folder), promotion.parent_of(card)[0] or None
    return ModelState(card.name, card.summary, "folder", None, folder, size, "", parent), card


def _state_of(name: str, entry: IndexEntry | None) -> ModelState:
    """Return the state of one of our models."""
    summary = entry.summary if entry else ""
    source = str(entry.source) if entry and entry.source else None
    if name in index.available():
        folder = index.BUNDLED / name
        size = _size_of(folder)
        shown = summary or _summary(folder)
        return ModelState(name, shown, "bundled", source, folder, size, _standing(name, ""))
    if entry is None or entry.source is None:
        return ModelState(name, summary, "unpublished")
    size = sum(pin.size for pin in entry.pins.values())
    found = cache.find(entry.source)
    if found is None:
        return ModelState(name, summary, "online", source, None, size)
    return ModelState(name, summary, "fetched", source, found[0], size, _standing(name, ""))


def _tuned_state(name: str) -> ModelState:
    folder = tuned_folder() / name
    parent = None
    with suppress(FlomoError):  # a damaged one is listed all the same, so that it can be removed
        parent = promotion.parent_of(read_card(folder / CARD_FILE))[0] or None
    summary, size = _summary(folder), _size_of(folder)
    standing = _standing(name, "candidate")
    return ModelState(name, summary, "tuned", None, folder, size, standing, parent)


def _standing(name: str, otherwise: str) -> str:
    """Return the state of a model among those that were promoted."""
    try:
        base = promoted_for(name)
        if base is None and not promotions(name):
            return otherwise
    except FlomoError:
        return otherwise  # in_use logs what is wrong with the file
    current = promotion.in_use(base or name)
    if current == name:
        return "in use"
    return "replaced"


def _size_of(folder: Path) -> int:
    """Return the bytes of a model's card and weights."""
    parts = [folder / CARD_FILE, folder / WEIGHTS_FILE]
    return sum(path.stat().st_size for path in parts if path.is_file())


def _summary(folder: Path) -> str:
    try:
        return read_card(folder / CARD_FILE).summary
    except FlomoError:
        return ""
