"""What a candidate is judged on: corrections that its training never saw."""

from __future__ import annotations

from dataclasses import dataclass


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
