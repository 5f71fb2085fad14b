"""What a candidate is judged on: images with labels that neither model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class HeldOut:
    """Slices of a correction that were kept out of training.

    Attributes
    ----------
    record_id
        Of the correction in its store.
    frame
        Frame of the image, counted from 0.
    slices
        Slices of that frame, counted from 0; each was seen by a person.
    """

    record_id: str
    frame: int
    slices: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class JudgedImage:
    """One frame with labels, read when it is needed.

    Attributes
    ----------
    name
        What the report calls it; tells nothing of the patient.
    group
        Images of one patient; drawn as one by the bootstrap and left out as one.
    load
        Returns the image and its labels on one grid, one frame each, labels in the card's codes.
    slices
        Those that are labelled and judged, counted from 0, ascending.
    codes
        Of the structures that are labelled and judged.
    drawn
        Those of them that somebody drew; None for all. The others were left as a model had proposed
        them, so that model looks perfect there.
    traces
        By which the image is recognised in other data, see `flomo_training.gate.traces`.
    """

    name: str
    group: str
    load: Callable[[], tuple[Volume, Volume]]
    slices: tuple[int, ...]
    codes: tuple[int, ...]
    drawn: tuple[int, ...] | None = None
    traces: frozenset[str] = frozenset()
