"""What both viewers show about the frames of a cine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_flomo.measures import (
    PHASES,
    SIDES,
    HeartMeasures,
    HeartPhases,
    Phase,
    Side,
    Ventricle,
    VentriclePhases,
    VolumeCurve,
)
from napari_flomo.session.queue_filter import Frames, States

PHASE_NAMES: Mapping[Phase, str] = {"ED": "end diastole", "ES": "end systole"}

SET_PHASE = ("Set", "Choose end diastole or end systole yourself; measures come from these frames")
"""Title and tooltip of the button of `PHASE_CHOICES`, as those of its last entry."""
AUTOMATIC_PHASES = (
    "Automatic",
    "Choose the frames with the largest and the smallest left ventricle of the network's labels",
)

PHASE_CHOICES: tuple[tuple[str, Phase, tuple[Side, ...]], ...] = (
    ("This frame is end diastole", "ED", SIDES),
    ("This frame is end systole", "ES", SIDES),
    ("End diastole of the left ventricle only", "ED", ("left",)),
    ("End systole of the left ventricle only", "ES", ("left",)),
    ("End diastole of the right ventricle only", "ED", ("right",)),
    ("End systole of the right ventricle only", "ES", ("right",)),
)
"""Title, phase and ventricles of the entries that set a phase to the frame on the screen."""

LIST = ("List", "Choose which slices are listed and visited")
"""Title and tooltip of the choices of the queue."""
QUEUE_FRAMES: tuple[tuple[str, Frames], ...] = (
    ("ED and ES, slice by slice", "phases"),
    ("All frames, the most uncertain first", "all"),
)
QUEUE_STATES: tuple[tuple[str, States], ...] = (
    ("All states", "all"),
    ("Not accepted", "open"),
)
ANY_STRUCTURE = "All structures"

CURVE_TIP = (
    "Volumes of the structures in all frames; click a frame to go there, drag ED and ES to set "
    "them. A circle marks a volume that does not fit those of the neighbouring frames"
)
HERE = "here: {}"
JUMP = "does not fit the neighbouring frames"

ONE_FRAME = "This image has one frame only, so it has no end diastole and end systole to choose."
NO_VENTRICLES = "{} segments no ventricle, so it has no end diastole and end systole."
FRAME_NOT_SEGMENTED = "Frame {} is not segmented; segment it first."
PHASES_UNKNOWN = "End diastole and end systole are not known; segment all frames, or set them."
PHASES_AUTOMATIC = "End diastole and end systole are chosen by the network's volumes again."
PARTIAL_MEASURES = "Only a part is segmented, so these are too small"
UNDO_PHASES_TIP = "Restore the previous end diastole and end systole"


def pinned_text(phase: Phase, frame: int, sides: Sequence[Side]) -> str:
    """Return the message that a person set a phase to a frame."""
    whose = "" if len(sides) > 1 else f" of the {sides[0]} ventricle"
    return f"Frame {frame + 1} is {PHASE_NAMES[phase]}{whose} now."


def phase_title(phase: Phase, phases: HeartPhases) -> str:
    """Return the title of the button that goes to a phase; a star marks a frame that is pinned."""
    frame = phases.left.frame(phase)
    star = "*" if phase in phases.left.pinned else ""
    return phase if frame is None else f"{phase} {frame + 1}{star}"


def phase_tip(phase: Phase, phases: HeartPhases) -> str:
    """Return the tooltip of the button that goes to a phase."""
    return f"Go to {PHASE_NAMES[phase]} ({phases_text(phases) or 'not known yet'})"


def phases_text(phases: HeartPhases, first_frame: int = 1) -> str:
    """Say which frames are end diastole and end systole, and which of them a person set."""
    left, right = phases.left, phases.right
    if (left.ed, left.es) == (right.ed, right.es):
        return _frames_text(left, left.pinned | right.pinned, first_frame)
    sides = (("left", left), ("right", right))
    return "; ".join(f"{name}: {_frames_text(one, one.pinned, first_frame)}" for name, one in sides)


def heart_lines(heart: HeartMeasures, first_frame: int = 1) -> list[str]:
    """Return the known measures of a heart, and the frames that they come from, in lines.

    ``first_frame`` is the number of the first frame.
    """
    sides = (("Left", heart.left), ("Right", heart.right))
    lines = [f"{name}: {', '.join(parts)}" for name, one in sides if (parts := _measured(one))]
    if heart.mass_g is not None:
        lines.append(f"Myocardial mass: {heart.mass_g:.0f} g")
    if heart.phases is not None and (phases := phases_text(heart.phases, first_frame)):
        lines.append(phases)
    lines += heart.conventions.differences()
    if not heart.complete:
        lines.append(PARTIAL_MEASURES)
    return lines


def curve_text(
    curves: Sequence[VolumeCurve], names: Mapping[int, str], frame: int, unit: str
) -> str:
    """Return the volumes of a frame in lines, and which of them jump."""
    lines = [f"Frame {frame + 1}"]
    for curve in curves:
        if np.isfinite(curve.volumes[frame]):
            jump = f" ({JUMP})" if frame in curve.jumps else ""
            lines.append(f"{names[curve.code]}: {curve.volumes[frame]:.0f} {unit}{jump}")
    return "\n".join(lines)


def frame_unit(pinned: bool) -> str:
    """Return the unit of the number of a frame, which says whether a person set it."""
    return "frame (set by you)" if pinned else "frame"


def _measured(one: Ventricle | None) -> list[str]:
    if one is None:
        return []
    return [f"{name} {value:.0f} {unit}" for name, value, unit in one.rows() if value is not None]


def _frames_text(one: VentriclePhases, pinned: frozenset[Phase], first_frame: int) -> str:
    return ", ".join(
        f"{phase} frame {frame + first_frame}{' (set by you)' if phase in pinned else ''}"
        for phase in PHASES
        if (frame := one.frame(phase)) is not None
    )
