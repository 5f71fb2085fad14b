"""One line of the manifest: what became of one study."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_flomo.cohorts.inputs import Input

State = Literal["done", "failed"]


@dataclass(frozen=True)
class Row:
    """What became of one study; plain JSON types, without paths and names of the computer.

    Attributes
    ----------
    study
        Its id.
    run
        Which run of the results folder it belongs to; rows of earlier runs do not count.
    state
        ``"done"`` or ``"failed"``.
    input
        The files that were read; None where they could not be.
    outputs
        Files that were written, relative to the results folder, by what they hold.
    volumes_ml
        Size of each structure in each frame: ``frame``, ``code``, ``name``, ``voxels``, ``ml``
        (None where the spacing is unknown).
    slice_scores
        Uncertainty in cm² by frame and slice, see `Segmentation.slice_scores`.
    most_uncertain
        ``frame``, ``slice`` and ``score`` of the most uncertain slice.
    seconds
        By stage, and ``"total"``.
    manifest
        Of the `Segmentation`: model, versions, device, what was segmented.
    error
        One sentence, where it failed.
    attempts
        How often it was tried in this run.
    expected_voxels
        Voxels that are expected to carry a wrong label, by frame and slice; empty in lines of
        versions that did not note them.
    expected_dice
        Smallest expected Dice of a structure, by frame and slice; None where there is none.
    """

    study: str
    run: int
    state: State
    input: Input | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    volumes_ml: Sequence[Mapping[str, Any]] = ()
    slice_scores: Sequence[Sequence[float | None]] = ()
    most_uncertain: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    attempts: int = 1
    expected_voxels: Sequence[Sequence[float | None]] = ()
    expected_dice: Sequence[Sequence[float | None]] = ()

    def to_line(self) -> bytes:
        """Return the row as one line of JSON, ASCII only, with its end."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Row | None:
        """Read a line; None if it is damaged or cut."""
        try:
            content = json.loads(line)
            known = {key: content[key] for key in cls.__dataclass_fields__ if key in content}
            if known.get("input") is not None:
                known["input"] = Input(**known["input"])
            row = cls(**known)
        except (ValueError, TypeError):
            return None
        # A class does not check what a file holds.
        told: tuple[Any, ...] = (row.study, row.run, row.state)
        good = isinstance(told[0], str) and isinstance(told[1], int)
        return row if good and told[2] in ("done", "failed") else None


def plain_scores(scores: NDArray[np.float32]) -> list[list[float | None]]:
    """Return scores for JSON: five significant digits, None where nothing was segmented."""
    return [
        [float(f"{score:.5g}") if math.isfinite(score) else None for score in frame]
        for frame in scores.tolist()
    ]


def most_uncertain(scores: NDArray[np.float32]) -> dict[str, Any] | None:
    """Return the slice with the highest score; None where nothing was segmented."""
    if not np.isfinite(scores).any():
        return None
    frame, number = np.unravel_index(int(np.nanargmax(scores)), scores.shape)
    score = float(f"{float(scores[frame, number]):.5g}")
    return {"frame": int(frame), "slice": int(number), "score": score}
