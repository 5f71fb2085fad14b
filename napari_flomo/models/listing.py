"""List all models with their locations and use, without network access."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models import cache, index, promotion, registry, tuned
from napari_flomo.models.card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card
from napari_flomo.models.family import family
from napari_flomo.models.index import IndexEntry
from napari_flomo.models.promotion_file import read_promotions, tuned_folder


@dataclass(frozen=True)
class ModelState:
    """A model, its location and whether it is in use.

    Attributes
    ----------
    name
        Name of the model.
    summary
        What it segments.
    place
        ``"bundled"`` with the package, ``"fetched"`` (downloaded), ``"tuned"`` on this computer,
        ``"online"`` on the Hub only, ``"folder"`` for a folder of the user, or ``"unpublished"``:
        in the index, but not available yet.
    source
        Repository and commit on the Hub, ``"hf:organisation/name@commit"``, or None.
    folder
        Its folder on this computer, or None.
    size
        Size of its files in bytes, or None if unknown.
    state
        ``"in use"``: promoted and used for its base model; ``"replaced"``: a promoted model is used
        instead; ``"specialist"``: used for images like those that it was tuned with;
        ``"candidate"``: tuned, not promoted. Empty if none of this applies.
    parent
        Name of the model that it was tuned from, or None.
    title
        What the images of a specialist are, if known.
    """

    name: str
    summary: str
    place: str
    source: str | None = None
    folder: Path | None = None
    size: int | None = None
    state: str = ""
    parent: str | None = None
    title: str = ""


def list_models() -> list[ModelState]:
    """Return our models, then all other downloaded ones, then all tuned ones."""
    entries = index.read_index()
    ours = [*entries, *(name for name in index.available() if name not in entries)]
    promoted = _promotion_states()
    states = [_state_of(name, entries.get(name), promoted) for name in ours]
    shown = {state.folder for state in states}
    for folder, origin in cache.downloaded():
        if folder not in shown and cache.find(origin.source) is not None:
            states.append(_downloaded_state(folder, origin))
    return [*states, *(_tuned_state(name, promoted) for name in tuned.names())]


def info(model: str) -> tuple[ModelState, ModelCard]:
    """Return state and card of a model.

    Raises
    ------
    FlomoError
        If it is not on this computer.
    """
    folder = registry.find(model)
    if folder is None:
        raise registry.not_downloaded(model)
    card = read_card(folder / CARD_FILE)
    origin = cache.read_origin(folder)
    if folder.parent == index.BUNDLED:
        entry = index.read_index().get(folder.name)
        state = _state_of(folder.name, entry, _promotion_states())
    elif folder.parent == tuned_folder():
        state = _tuned_state(folder.name, _promotion_states())
    elif origin is not None:
        entry = index.entry_of(origin.source)
        state = _downloaded_state(folder, origin)
        if entry is not None:
            state = _state_of(entry.name, entry, _promotion_states())
    else:
        parent = promotion.parent_of(card)[0] or None
        size = _size_of(folder)
        state = ModelState(card.name, card.summary, "folder", None, folder, size, "", parent)
    return state, card


def _state_of(name: str, entry: IndexEntry | None, promoted: Mapping[str, str]) -> ModelState:
    """Return the state of one of our models."""
    summary = entry.summary if entry else ""
    source = str(entry.source) if entry and entry.source else None
    state = promoted.get(name, "")
    if name in index.available():
        folder = index.BUNDLED / name
        summary = summary or _summary(folder)
        return ModelState(name, summary, "bundled", source, folder, _size_of(folder), state)
    if entry is None or entry.source is None:
        return ModelState(name, summary, "unpublished")
    size = sum(pin.size for pin in entry.pins.values())
    found = cache.find(entry.source)
    if found is None:
        return ModelState(name, summary, "online", source, None, size)
    return ModelState(name, summary, "fetched", source, found[0], size, state)


def _downloaded_state(folder: Path, origin: cache.Origin) -> ModelState:
    source = str(origin.source)
    return ModelState(source, _summary(folder), "fetched", source, folder, origin.size)


def _tuned_state(name: str, promoted: Mapping[str, str]) -> ModelState:
    folder = tuned_folder() / name
    summary, parent, title = "", None, ""
    with suppress(FlomoError):  # damaged models are listed, too, so that they can be removed
        card = read_card(folder / CARD_FILE)
        summary, title = card.summary, "" if card.signature is None else card.signature.title
        parent = promotion.parent_of(card)[0] or None
    state = promoted.get(name, "candidate")
    size = _size_of(folder)
    return ModelState(name, summary, "tuned", None, folder, size, state, parent, title)


def _promotion_states() -> dict[str, str]:
    """Return for all promoted models and their base models whether they are in use."""
    try:
        stacks = read_promotions()
    except FlomoError:
        return {}  # in_use logs what is wrong with the file
    states = {}
    for base, stack in stacks.items():
        members = family(base)
        for name in (base, *(promoted.name for promoted in stack)):
            states[name] = "in use" if name == members.parent else "replaced"
        states |= {one.name: "specialist" for one in members.specialists}
    return states


def _size_of(folder: Path) -> int:
    """Return the size of a model's card and weights in bytes."""
    parts = [folder / CARD_FILE, folder / WEIGHTS_FILE]
    return sum(path.stat().st_size for path in parts if path.is_file())


def _summary(folder: Path) -> str:
    try:
        return read_card(folder / CARD_FILE).summary
    except FlomoError:
        return ""
