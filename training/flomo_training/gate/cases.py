"""Labelled images that both models are evaluated on; neither was trained on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class HeldOut:
    """Reviewed slices of one frame of a correction that were held out of training; from 0."""

    record_id: str
    frame: int
    slices: tuple[int, ...]


@dataclass(frozen=True)
class Fold:
    """A fold of a cross-validation: a model, and the slices that it was trained without."""

    model: Path
    held_out: tuple[HeldOut, ...]


@dataclass(frozen=True, eq=False)
class EvaluationImage:
    """One labelled frame, read when it is needed.

    Attributes
    ----------
    name
        In the report; does not identify the patient.
    group
        Identifies the patient; the bootstrap resamples groups, and a group is left out as a whole.
    load
        Returns the image and its labels on one grid, one frame each, labels in the card's codes.
    slices
        Labelled slices to evaluate, counted from 0, ascending.
    codes
        Of the labelled structures to evaluate.
    drawn
        Those of them that the reader edited; None for all. The others were accepted as a model
        proposed them, so this model would look perfect there.
    signatures
        Hashes that identify the image in other data, see `flomo_training.gate.signatures`.
    """

    name: str
    group: str
    load: Callable[[], tuple[Volume, Volume]]
    slices: tuple[int, ...]
    codes: tuple[int, ...]
    drawn: tuple[int, ...] | None = None
    signatures: frozenset[str] = frozenset()
