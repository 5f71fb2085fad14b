"""The volume-time curves of a cine: where they are drawn, and what a mouse does there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from napari_flomo.measures import PHASES, SIDES, HeartPhases, Phase, Side, VolumeCurve
from napari_flomo.session.cine_messages import HERE, curve_text
from napari_flomo.session.colours import structure_colours
from napari_flomo.session.findings import counts_of
from napari_flomo.session.image_state import OpenImage

_SIDE = 8.0
_GRIP = 9.0
"""How near to a mark a mouse takes it, in pixels."""
_TAG_MARGIN = 4.0


class Mark(NamedTuple):
    """A phase of one or both ventricles at a frame."""

    phase: Phase
    sides: tuple[Side, ...]
    frame: int
    pinned: bool

    @property
    def title(self) -> str:
        """The phase, with the side if the other ventricle has another frame."""
        return self.phase + (f" {self.sides[0][0].upper()}" if len(self.sides) == 1 else "")


class Box(NamedTuple):
    """A rectangle in pixels; y grows downwards."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height


class VolumeChart:
    """Curves with marks for end diastole and end systole; a viewer draws them with its painter.

    All lengths are in pixels, frames are counted from 0.

    Attributes
    ----------
    curves, marks, current
        The curves, the marks, and the frame on the screen.
    colours
        ``"#rrggbb"`` by the code of a curve.
    """

    def __init__(self) -> None:
        self.curves: Sequence[VolumeCurve] = ()
        self.marks: tuple[Mark, ...] = ()
        self.current = 0
        self.colours: Mapping[int, str] = {}
        self._names: Mapping[int, str] = {}
        self._unit = "ml"
        self._width, self._height, self._band = 240.0, 120.0, 20.0
        self._drag: tuple[Mark, int] | None = None  # the mark, and the frame under the mouse

    def show(self, image: OpenImage, curves: Sequence[VolumeCurve], current: int) -> None:
        """Show the curves and phases of a segmented image, and the frame on the screen."""
        labels = image.require_segmentation().card.labels
        counts = counts_of(image, ())
        known = counts is not None and counts.ml_per_voxel is not None
        self._unit = "ml" if known else "voxels"
        self._names = {label.code: label.name for label in labels}
        self.colours = structure_colours(labels)
        self.curves, self.current, self.marks = curves, current, marks_of(image.phases)

    def resize(self, width: float, height: float, band: float) -> None:
        """Set the size of the drawing, and the height of the texts above and below the curves."""
        self._width, self._height, self._band = width, height, band

    # Where things are drawn

    @property
    def n_frames(self) -> int:
        """How many frames the curves have."""
        return len(self.curves[0].volumes) if self.curves else 1

    @property
    def box(self) -> Box:
        """The area of the curves; the tags of the marks are above it, texts below."""
        width, height = self._width - 2 * _SIDE, self._height - 2 * self._band
        return Box(_SIDE, self._band, max(width, 1.0), max(height, 1.0))

    @property
    def texts(self) -> tuple[str, str, str]:
        """The texts below the curves: at the left, in the middle and at the right."""
        return "frame 1", HERE.format(self.current + 1), str(self.n_frames)

    def x_of(self, frame: int) -> float:
        """Return where a frame is drawn."""
        return self.box.left + frame / max(self.n_frames - 1, 1) * self.box.width

    def frame_at(self, x: float) -> int:
        """Return the frame that is drawn nearest to a horizontal position."""
        frame = round((x - self.box.left) / self.box.width * (self.n_frames - 1))
        return self._existing(frame)

    def point(self, curve: VolumeCurve, frame: int) -> tuple[float, float]:
        """Return where the volume of a frame is drawn."""
        largest = max((float(np.nanmax(one.volumes, initial=0)) for one in self.curves), default=0)
        share = float(curve.volumes[frame]) / (largest or 1.0)
        return self.x_of(frame), self.box.bottom - share * self.box.height

    def line(self, curve: VolumeCurve) -> list[tuple[float, float]]:
        """Return the points of a curve, without frames that were not segmented."""
        frames = np.flatnonzero(np.isfinite(curve.volumes))
        return [self.point(curve, int(frame)) for frame in frames]

    def frame_of(self, mark: Mark) -> int:
        """Return the frame at which a mark is drawn, which may be dragged."""
        return self._drag[1] if self._drag is not None and self._drag[0] == mark else mark.frame

    def is_filled(self, mark: Mark) -> bool:
        """Return True if the tag of a mark is filled: a person set it, or drags it."""
        return mark.pinned or (self._drag is not None and self._drag[0] == mark)

    def tag(self, mark: Mark, text_width: float) -> Box:
        """Return the rectangle of the title of a mark, which is ``text_width`` wide."""
        width = text_width + 2 * _TAG_MARGIN
        left = min(max(self.x_of(self.frame_of(mark)) - width / 2, 0.0), self._width - width)
        return Box(left, 1.0, width, self._band - 3)

    def text_at(self, x: float) -> str:
        """Return the volumes of the frame at a horizontal position."""
        return curve_text(self.curves, self._names, self.frame_at(x), self._unit)

    # What mouse and keys do

    def press(self, x: float, y: float) -> int | None:
        """Take the mark under the mouse, or return the frame that was clicked."""
        near = [mark for mark in self.marks if abs(self.x_of(mark.frame) - x) <= _GRIP]
        if not near or y > self._band:
            return self.frame_at(x)
        self._drag = (near[-1], near[-1].frame)
        return None

    def move(self, x: float) -> bool:
        """Move the mark that was taken; return True if there is one."""
        if self._drag is None:
            return False
        self._drag = (self._drag[0], self.frame_at(x))
        return True

    def release(self) -> tuple[Mark, int] | None:
        """Let go of the mark and return it with its frame; None if none was taken."""
        drag, self._drag = self._drag, None
        return drag

    def beside(self, by: int) -> int:
        """Return the frame that is ``by`` frames later, or the first or last one there is."""
        return self._existing(self.current + by)

    def _existing(self, frame: int) -> int:
        return min(max(frame, 0), self.n_frames - 1)


def marks_of(phases: HeartPhases) -> tuple[Mark, ...]:
    """Return the marks of all known phases, one for both ventricles where their frames agree."""
    marks = []
    for phase in PHASES:
        frames = [phases.of(side).frame(phase) for side in SIDES]
        pinned = [phase in phases.of(side).pinned for side in SIDES]
        if frames[0] == frames[1] and frames[0] is not None:
            marks.append(Mark(phase, SIDES, frames[0], any(pinned)))
            continue
        marks += [
            Mark(phase, (side,), frame, one)
            for side, frame, one in zip(SIDES, frames, pinned, strict=True)
            if frame is not None
        ]
    return tuple(marks)
