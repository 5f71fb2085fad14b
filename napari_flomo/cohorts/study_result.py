"""The result of one study, a line of the manifest."""

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
class StudyResult:
    """Result of one study, in plain JSON types, without absolute paths and host names.

    Attributes
    ----------
    study
        Its id.
    run
        Run of the results folder that it belongs to; results of earlier runs do not count.
    state
        ``"done"`` or ``"failed"``.
    input
        The files that were read; None if they could not be.
    outputs
        Files that were written, relative to the results folder, by content.
    volumes_ml
        Size of each structure in each frame: ``frame``, ``code``, ``name``, ``voxels``, ``ml``
        (None if the spacing is unknown).
    slice_scores
        Uncertainty in cm² by frame and slice, see `Segmentation.slice_scores`.
    most_uncertain
        ``frame``, ``slice`` and ``score`` of the most uncertain slice.
    seconds
        By stage, and ``"total"``.
    manifest
        Of the `Segmentation`: model, versions, device, what was segmented.
    error
        One sentence if it failed.
    attempts
        Attempts in this run.
    expected_voxels
        Expected number of wrong voxels, by frame and slice; empty in lines of older versions.
    expected_dice
        Smallest expected Dice of a structure, by frame and slice; None without one.
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
        """Return one line of JSON in ASCII, with its line feed."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> StudyResult | None:
        """Read a line; return None if it is damaged or truncated."""
        try:
            content = json.loads(line)
            if "most_doubtful" in content:  # its name in older versions
                content["most_uncertain"] = content.pop("most_doubtful")
            known = {key: content[key] for key in cls.__dataclass_fields__ if key in content}
            if known.get("input") is not None:
                known["input"] = Input(**known["input"])
            result = cls(**known)
        except (ValueError, TypeError):
            return None
        # A dataclass does not check types.
        types: tuple[Any, ...] = (result.study, result.run)
        good = isinstance(types[0], str) and isinstance(types[1], int)
        return result if good and result.state in ("done", "failed") else None


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
