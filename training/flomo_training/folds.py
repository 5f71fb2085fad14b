"""Folds of a data set, stored in ``folds.json``.

Whole groups (a patient, a block of video, a cluster of near duplicates, a file) are assigned to
folds, never single images, since the images of a group are similar.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.schema import SchemaError, decode, encode, read_json

FOLDS_FILE = "folds.json"
NUMBER_OF_FOLDS = 5
SEED = 2026
FRAMES_AT_BORDER = 5


@dataclass(frozen=True)
class Folds:
    """The content of ``folds.json``.

    Attributes
    ----------
    folds
        Held-out groups of each fold.
    unit
        Kind of a group: ``"patient"``, ``"block"``, ``"cluster of near duplicates"`` or ``"file"``.
    stratified_by
        Column of ``cases.csv`` that the folds are stratified by; empty if none.
    near_duplicate_bits
        Largest Hamming distance between the perceptual hashes of near duplicates.
    perceptual_hashes
        Of every picture, by case; empty for volumes.
    training_only
        Groups that are in no fold and always used for training, as in a published split into
        training and test patients.
    """

    folds: tuple[tuple[str, ...], ...]
    unit: str = "patient"
    stratified_by: str = ""
    near_duplicate_bits: int = 0
    perceptual_hashes: Mapping[str, str] = field(default_factory=dict)
    training_only: tuple[str, ...] = ()

    def fold_of(self) -> dict[str, int]:
        """Return the fold in which each group is held out; -1 for training-only groups."""
        held_out = {group: index for index, members in enumerate(self.folds) for group in members}
        return dict.fromkeys(self.training_only, -1) | held_out

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(encode(self), indent=1) + "\n"


def read_folds(source: Path) -> Folds:
    """Read the folds of a data folder.

    Raises a `FlomoError` if the file is missing or invalid, or a group is in two folds (a leak).
    """
    path = source / FOLDS_FILE
    try:
        folds = decode(Folds, read_json(path))
    except OSError as error:
        raise FlomoError(
            f"The data folder {source} has no {FOLDS_FILE}; prepare it first."
        ) from error
    except SchemaError as fault:
        raise FlomoError(f"{path} is not valid: {fault}; prepare the data again.") from fault
    members = [member for row in (*folds.folds, folds.training_only) for member in row]
    if doubled := sorted({member for member in members if members.count(member) > 1}):
        raise FlomoError(
            f"{path} has {doubled[0]} in two folds, so a model would be evaluated on its training "
            "data; fix it."
        )
    return folds


def assign_folds(
    groups: Mapping[str, Sequence[str]], number: int = NUMBER_OF_FOLDS, seed: int = SEED
) -> tuple[tuple[str, ...], ...]:
    """Assign groups to stratified folds; return the sorted groups of each fold.

    Large groups come first; each is assigned to the fold with the fewest cases of its stratum, then
    with the fewest cases. The order of groups of equal size is random. ``groups`` has for each
    group the stratum of every case in it.
    """
    rng = np.random.default_rng(seed)
    drawn = [sorted(groups)[index] for index in rng.permutation(len(groups))]
    drawn.sort(key=lambda name: -len(groups[name]))
    strata = sorted({groups[name][0] for name in drawn})
    folds: list[list[str]] = [[] for _ in range(number)]
    load = np.zeros((number, len(strata)), int)
    for name in drawn:
        stratum = strata.index(groups[name][0])
        fold = min(range(number), key=lambda k: (load[k, stratum], load[k].sum(), k))
        folds[fold].append(name)
        load[fold, stratum] += len(groups[name])
    return tuple(tuple(sorted(members)) for members in folds)


def split_into_blocks(dissimilarity: NDArray[np.int64], number: int = NUMBER_OF_FOLDS) -> list[int]:
    """Split a sequence of frames into contiguous blocks of about equal length.

    Each border is moved from its regular position, by at most a quarter of a block, to where the
    frames before and after it differ most, since a new video probably starts there. Several frames
    are compared, since a single blurred frame differs from both neighbours. ``dissimilarity`` is
    ``(frames, frames)``; the result is the block of each frame. Raises a `FlomoError` if there are
    too few frames.
    """
    length = len(dissimilarity)
    if length < 2 * number:
        raise FlomoError(f"{length} frames are too few for {number} blocks; check the source.")

    def gap(border: int) -> tuple[int, float]:
        first = max(0, border - FRAMES_AT_BORDER)
        across = dissimilarity[first:border, border : border + FRAMES_AT_BORDER]
        return int(across.min()), float(across.mean())

    block = length / number
    borders = []
    for index in range(1, number):
        first = max(1, round((index - 0.25) * block))
        last = max(first, round((index + 0.25) * block))
        borders.append(max(range(first, last + 1), key=gap))
    return [int(np.searchsorted(borders, frame, side="right")) for frame in range(length)]
