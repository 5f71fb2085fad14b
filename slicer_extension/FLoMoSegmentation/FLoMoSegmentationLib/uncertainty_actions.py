"""What a click on a map of uncertainty sets in motion."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from FLoMoSegmentationLib import maps
from FLoMoSegmentationLib.entries import refuse_without
from napari_flomo.errors import FlomoError
from napari_flomo.models import info

if TYPE_CHECKING:
    from FLoMoSegmentationLib.entries import Entry
    from FLoMoSegmentationLib.logic import Logic
    from napari_flomo.session import OpenImage, Run


def choose(logic: Logic, entry: Entry | None, name: str) -> None:
    """Show another map that an image has.

    Raises
    ------
    FlomoError
        If there are no labels yet, or the image was changed since.
    """
    entry = _unchanged(entry)
    assert entry.record is not None
    image = logic.session.image(entry.key)
    maps.show(entry.source, entry.record, image, logic.threshold, name)


def compute(logic: Logic, entry: Entry | None, name: str, device: str, model: str = "") -> Run:
    """Start to compute a map in the child process; labels and review stay as they are.

    Parameters
    ----------
    logic, entry
        The logic, and the image.
    name, device
        Of the map; as everywhere.
    model
        Name or folder of the model that is chosen now. After a scene was loaded nobody knows in
        which folder the model lies that made the labels; if it is this one, it is taken.

    Raises
    ------
    FlomoError
        If there are no labels yet, the image was changed since, or something is under way.
    """
    entry = _unchanged(entry)
    known = entry.model or _if_it_made(logic.session.image(entry.key), model)
    run = logic.session.uncertainty(entry.key, device, [name], known or None)
    entry.wanted = name
    return run


def _if_it_made(image: OpenImage, model: str) -> str:
    """Return a model if the labels of an image are its; else nothing."""
    if image.segmentation is None or not model:
        return ""
    with suppress(FlomoError):
        if info(model)[1].card_hash == image.segmentation.card.card_hash:
            return model
    return ""


def _unchanged(entry: Entry | None) -> Entry:
    entry = refuse_without(entry)
    if entry.source.state != entry.state:
        raise FlomoError("This image was changed after it was segmented; segment it again.")
    return entry
