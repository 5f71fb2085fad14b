"""Flag labels of a heart that contradict anatomy, slice by slice."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_flomo.measures.heart import HeartMeasures
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.slice_shape import PARTS, SliceShape, base_first, slice_shape

OPEN_CAVITY = 0.1
"""Largest fraction of the border of a left ventricle below the base that may lack wall."""

AREA_JUMP = 0.4
"""How much larger or smaller an area may be than those of both neighbouring slices."""

STROKE_VOLUMES = 0.35
"""Largest difference of the stroke volumes, relative to the larger; without shunt or regurgitation
both ventricles eject the same volume."""


@dataclass(frozen=True)
class Flag:
    """Something in the labels that contradicts anatomy.

    Attributes
    ----------
    rule
        ``"open cavity"``, ``"pieces"``, ``"gap"``, ``"area jump"`` or ``"stroke volumes"``.
    text
        A sentence for the user, without the number of frame and slice.
    frame, slice
        Where; None for the whole image.
    """

    rule: str
    text: str
    frame: int | None = None
    slice: int | None = None

    def line(self, *, first: int, moving: bool) -> str:
        """Return "Slice 3, frame 2: ..." for a list of flags.

        Parameters
        ----------
        first
            Number of the first frame and of the first slice: 0 or 1.
        moving
            Whether there are several frames; otherwise the frame is not named.
        """
        if self.frame is None or self.slice is None:
            return self.text
        frame = f", frame {self.frame + first}" if moving else ""
        return f"Slice {self.slice + first}{frame}: {self.text}"


@dataclass
class HeartFlags:
    """Flags of all slices that were added; a slice that changes is added again.

    Parameters
    ----------
    codes
        Of the parts of the heart.
    """

    codes: HeartCodes
    _shapes: dict[int, dict[int, SliceShape]] = field(default_factory=dict)
    _seen: dict[tuple[int, int], int] = field(default_factory=dict)

    def update(self, frame: int, slice_: int, pixels: NDArray[np.integer]) -> None:
        """Add the labels of a slice, ``(rows, columns)``, or replace those known.

        It takes a millisecond or two, and next to nothing for labels that did not change.
        """
        checksum = zlib.crc32(pixels.tobytes())
        if self._seen.get((frame, slice_)) == checksum:
            return
        self._seen[frame, slice_] = checksum
        self._shapes.setdefault(frame, {})[slice_] = slice_shape(pixels, self.codes)

    def flags(
        self, measures: HeartMeasures | None = None, frames: Iterable[int] | None = None
    ) -> tuple[Flag, ...]:
        """Return the flags by frame and slice; with ``measures`` also that of stroke volumes.

        ``frames`` are those to look at, all that were added by default.
        """
        found: list[Flag] = []
        for frame in sorted(self._shapes if frames is None else frames):
            stack = self._shapes[frame]
            found += _slice_flags(frame, stack)
            found += _stack_flags(frame, stack)
        found.sort(key=lambda flag: (flag.frame, flag.slice))
        return (*found, *_stroke_volume_flags(measures))


def _slice_flags(frame: int, stack: Mapping[int, SliceShape]) -> list[Flag]:
    found = [
        Flag("pieces", f"The {PARTS[part]} has several pieces.", frame, number)
        for number, shape in stack.items()
        for part in shape.pieces
    ]
    if not any(shape.pixels.get("myocardium") for shape in stack.values()):
        return found  # only the cavity is labelled
    base = _basal_slices(stack)
    found += [
        Flag(
            "open cavity",
            f"The wall is missing at {100 * shape.open_border:.0f} % of the border of the left "
            "ventricle.",
            frame,
            number,
        )
        for number, shape in stack.items()
        if shape.open_border > OPEN_CAVITY and number not in base
    ]
    return found


def _stack_flags(frame: int, stack: Mapping[int, SliceShape]) -> list[Flag]:
    """Compare the areas of neighbouring slices; slices that are not known are skipped."""
    found = []
    for part, name in PARTS.items():
        areas = {number: shape.pixels.get(part, 0) for number, shape in sorted(stack.items())}
        filled = [number for number, area in areas.items() if area]
        if not filled:
            continue
        for number in range(filled[0] + 1, filled[-1]):
            if areas.get(number) == 0:
                text = f"The {name} is missing between slices that show it."
                found.append(Flag("gap", text, frame, number))
            elif {number - 1, number, number + 1} <= areas.keys() and _jumps(areas, number):
                text = f"The area of the {name} differs much from both neighbouring slices."
                found.append(Flag("area jump", text, frame, number))
    return found


def _jumps(areas: Mapping[int, int], number: int) -> bool:
    before, here, after = areas[number - 1], areas[number], areas[number + 1]
    if not before or not after:
        return False
    return (here - max(before, after)) / here > AREA_JUMP or (min(before, after) - here) / min(
        before, after
    ) > AREA_JUMP


def _basal_slices(stack: Mapping[int, SliceShape]) -> set[int]:
    """Return the two slices at the base, where a part of the wall may be missing."""
    filled = [number for number in sorted(stack) if stack[number].pixels.get("left_ventricle")]
    first = base_first([stack[number].pixels for number in filled])
    return set(filled[:2] if first else filled[-2:])


def _stroke_volume_flags(measures: HeartMeasures | None) -> Sequence[Flag]:
    if measures is None or measures.left is None or measures.right is None:
        return ()
    left, right = measures.left.sv_ml, measures.right.sv_ml
    labelled = measures.left.edv_ml and measures.right.edv_ml
    if not labelled or left is None or right is None or max(left, right) <= 0:
        return ()
    if abs(left - right) / max(left, right) <= STROKE_VOLUMES:
        return ()
    text = (
        f"The stroke volumes of the left and right ventricle, {left:.0f} and {right:.0f} ml, "
        "differ much; without shunt or regurgitation they are equal."
    )
    return (Flag("stroke volumes", text),)
