"""Labels as conventions count them: papillary muscles, and slices at the base."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.measures.conventions import SMALLEST_ENCLOSED, Conventions
from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.slice_shape import base_first, open_border, part_masks

LEFT_OUT = "At the base, so the left ventricle is not counted."
NO_CONTRAST = "No wall that is darker than the cavity, so papillary muscles count as labelled."


@dataclass(frozen=True, eq=False)
class MeasuredFrame:
    """Labels of a frame as they are counted.

    Attributes
    ----------
    labels
        ``(slices, rows, columns)``.
    left_out
        Slices at the base whose left ventricle is not counted.
    without_contrast
        Slices in which papillary muscles cannot be told from blood: no wall is labelled, or the
        wall is not darker than the cavity. They are counted as labelled.
    """

    labels: NDArray[np.integer]
    left_out: tuple[int, ...] = ()
    without_contrast: tuple[int, ...] = ()


def measured_frame(
    stack: NDArray[np.integer],
    codes: HeartCodes,
    conventions: Conventions,
    grey: NDArray[np.generic] | None = None,
) -> MeasuredFrame:
    """Apply conventions to the labels of a frame, which are not changed.

    Parameters
    ----------
    stack
        Labels, ``(slices, rows, columns)``.
    codes
        Of the parts of the heart; without cavity or myocardium nothing changes.
    conventions
        Papillary muscles are pixels of the cavity that are darker than Otsu's threshold of the grey
        values of cavity and wall in the slice. Basal slices are left out, cavity and wall, from the
        base to the first one that is enclosed.
    grey
        The image, of the same shape, if ``conventions.need_image``.
    """
    cavity, wall = codes.left_ventricle, codes.myocardium
    if cavity is None or wall is None or not conventions.change_labels:
        return MeasuredFrame(stack)
    result = stack.copy()
    left_out: tuple[int, ...] = ()
    unclear = []
    if conventions.basal_slices == "half-enclosed":
        left_out = _basal_slices_left_out(stack, codes)
        for number in left_out:
            result[number][(stack[number] == cavity) | (stack[number] == wall)] = 0
    if conventions.papillary_muscles == "myocardium":
        assert grey is not None
        for number, pixels in enumerate(result):
            inside = pixels == cavity
            if not inside.any():
                continue
            threshold = _blood_threshold(grey[number], inside, pixels == wall)
            if threshold is None:
                unclear.append(number)
            else:
                pixels[inside & (grey[number] <= threshold)] = wall
    return MeasuredFrame(result, left_out, tuple(unclear))


@dataclass(frozen=True)
class CountingNote:
    """What a convention did to some slices.

    Attributes
    ----------
    text
        A sentence for the user.
    phase
        ``"ED"``, ``"ES"`` or ``"only"``, see `StudyMeasures.frames`.
    slices
        Counted from 0.
    """

    text: str
    phase: str
    slices: tuple[int, ...]

    def line(self, *, first: int) -> str:
        """Return "ED, slices 1, 2: ..."; ``first`` is the number of the first slice."""
        phase = "" if self.phase == "only" else f"{self.phase}, "
        numbers = ", ".join(str(number + first) for number in self.slices)
        line = f"{phase}slice{'s' if len(self.slices) > 1 else ''} {numbers}: {self.text}"
        return line[0].upper() + line[1:]


class MeasuredLabels:
    """Counts the voxels of label images by conventions; a frame that changed is counted again.

    Parameters
    ----------
    counts
        Of the labels as they are, with the conventions and the slice thickness.
    codes
        Of the parts of the heart.
    """

    def __init__(self, counts: VoxelCounts, codes: HeartCodes) -> None:
        self.counts = counts.copy() if counts.conventions.change_labels else counts
        self.codes = codes
        self.frames: dict[int, MeasuredFrame] = {}
        self._seen: dict[int, int] = {}

    def fits(self, counts: VoxelCounts, codes: HeartCodes) -> bool:
        """Return True if other counts of the same labels would be measured in the same way."""
        own = self.counts
        return (own.codes, own.ml_per_voxel, own.gap, own.conventions, self.codes) == (
            counts.codes,
            counts.ml_per_voxel,
            counts.gap,
            counts.conventions,
            codes,
        )

    def update(
        self, frame: int, stack: NDArray[np.integer], grey: NDArray[np.generic] | None = None
    ) -> None:
        """Count a frame, which takes a few milliseconds, and next to nothing if it is unchanged.

        Parameters
        ----------
        frame
            Its number.
        stack, grey
            Its labels and its image, see `measured_frame`.
        """
        if not self.counts.conventions.change_labels:
            return
        checksum = zlib.crc32(stack.tobytes())
        if self._seen.get(frame) == checksum:
            return
        self._seen[frame] = checksum
        found = measured_frame(stack, self.codes, self.counts.conventions, grey)
        self.frames[frame] = found
        for number, pixels in enumerate(found.labels):
            self.counts.update(frame, number, pixels)


def counting_notes(frames: Mapping[str, MeasuredFrame]) -> tuple[CountingNote, ...]:
    """Return what conventions did to single slices of frames, by the names of these."""
    return tuple(
        CountingNote(text, name, slices)
        for name, one in frames.items()
        for text, slices in ((LEFT_OUT, one.left_out), (NO_CONTRAST, one.without_contrast))
        if slices
    )


def _basal_slices_left_out(stack: NDArray[np.integer], codes: HeartCodes) -> tuple[int, ...]:
    """Return the slices from the base to the first one whose cavity is enclosed by half.

    Where no slice is enclosed, as in labels without wall, none is left out.
    """
    masks = {n: part_masks(pixels, codes) for n, pixels in enumerate(stack)}
    filled = [n for n, parts in masks.items() if parts["left_ventricle"].any()]
    areas = [{part: int(mask.sum()) for part, mask in masks[n].items()} for n in filled]
    if not filled:
        return ()
    at_start = base_first(areas)
    for number in filled if at_start else filled[::-1]:
        parts = masks[number]
        if 1 - open_border(parts["left_ventricle"], parts["myocardium"]) >= SMALLEST_ENCLOSED:
            beyond = range(number) if at_start else range(number + 1, len(stack))
            return tuple(beyond) if set(beyond) & set(filled) else ()
    return ()


def _blood_threshold(
    grey: NDArray[np.generic], cavity: NDArray[np.bool_], wall: NDArray[np.bool_]
) -> float | None:
    """Return the grey value between muscle and blood; None without wall or contrast."""
    from skimage.filters import threshold_otsu

    known = np.isfinite(grey)
    muscle, blood = grey[wall & known], grey[cavity & known]
    if not muscle.size or not blood.size or np.median(muscle) >= np.median(blood):
        return None
    return float(threshold_otsu(np.concatenate([muscle, blood])))
