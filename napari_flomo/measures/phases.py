"""Frames of end diastole and end systole: chosen by volume, or set by a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.heart_codes import HeartCodes

Phase = Literal["ED", "ES"]
"""End diastole or end systole."""
Side = Literal["left", "right"]
"""One of the two ventricles."""
PHASES: tuple[Phase, ...] = get_args(Phase)
"""Both phases."""
SIDES: tuple[Side, ...] = get_args(Side)
"""Both ventricles."""


@dataclass(frozen=True)
class VentriclePhases:
    """Frames of end diastole and end systole of one ventricle, counted from 0.

    Attributes
    ----------
    ed, es
        None while unknown, as long as a single frame is segmented.
    pinned
        Which of them a person set; they do not change by themselves.
    """

    ed: int | None = None
    es: int | None = None
    pinned: frozenset[Phase] = field(default_factory=frozenset)

    def frame(self, phase: Phase) -> int | None:
        """Return the frame of a phase."""
        return self.ed if phase == "ED" else self.es

    def pin(self, phase: Phase, frame: int) -> VentriclePhases:
        """Return the phases with one of them set by a person."""
        ed, es = (frame, self.es) if phase == "ED" else (self.ed, frame)
        return VentriclePhases(ed, es, self.pinned | {phase})

    def keep(self, earlier: VentriclePhases) -> VentriclePhases:
        """Return these phases, but those that were pinned earlier as they were."""
        result = self
        for phase in PHASES:
            frame = earlier.frame(phase)
            if phase in earlier.pinned and frame is not None:
                result = result.pin(phase, frame)
        return result


@dataclass(frozen=True)
class HeartPhases:
    """End diastole and end systole of both ventricles of a cine, see `choose_phases`."""

    left: VentriclePhases = field(default_factory=VentriclePhases)
    right: VentriclePhases = field(default_factory=VentriclePhases)

    @property
    def pinned(self) -> bool:
        """Whether a person set any of the frames."""
        return bool(self.left.pinned or self.right.pinned)

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames of both ventricles in ascending order, each once."""
        known = (one.frame(phase) for one in (self.left, self.right) for phase in PHASES)
        return tuple(sorted({frame for frame in known if frame is not None}))

    def among(self, segmented: Sequence[int]) -> tuple[int, ...]:
        """Return those of `frames` that were segmented; without any, the first segmented frame."""
        return tuple(frame for frame in self.frames if frame in segmented) or tuple(segmented[:1])

    def of(self, side: Side) -> VentriclePhases:
        """Return the phases of a ventricle."""
        return self.left if side == "left" else self.right

    def pin(self, phase: Phase, frame: int, sides: Iterable[Side] = SIDES) -> HeartPhases:
        """Return the phases with one of them set by a person, in one or both ventricles."""
        result = self
        for side in sides:
            result = result._with(side, result.of(side).pin(phase, frame))
        return result

    def keep(self, earlier: HeartPhases) -> HeartPhases:
        """Return these phases, but those that were pinned earlier as they were."""
        return HeartPhases(self.left.keep(earlier.left), self.right.keep(earlier.right))

    def to_dict(self) -> dict[str, Any]:
        """Return the phases in plain JSON types."""
        return {
            side: {"ED": one.ed, "ES": one.es, "pinned": sorted(one.pinned)}
            for side, one in (("left", self.left), ("right", self.right))
        }

    @classmethod
    def from_dict(cls, content: object, n_frames: int) -> HeartPhases | None:
        """Return what `to_dict` returned for a cine of ``n_frames``; None if it does not fit."""
        try:
            left, right = (_ventricle(content[side], n_frames) for side in SIDES)  # type: ignore[index]
        except (LookupError, TypeError, ValueError):
            return None
        return cls(left, right)

    def _with(self, side: Side, phases: VentriclePhases) -> HeartPhases:
        return replace(self, left=phases) if side == "left" else replace(self, right=phases)


def choose_phases(
    counts: VoxelCounts, codes: HeartCodes, frames: Sequence[int] | None = None
) -> HeartPhases:
    """Choose end diastole and end systole of a cine: the largest and the smallest left ventricle.

    The right ventricle is measured in the same frames, and determines them if the model does not
    segment the left one. Of equal volumes the first frame is chosen.

    Parameters
    ----------
    counts
        Of the labels.
    codes
        Of the parts of the heart.
    frames
        Frames that were segmented; all by default. With fewer than two, no phase is known.
    """
    chosen = list(range(counts.n_frames)) if frames is None else list(frames)
    leading = codes.right_ventricle if codes.left_ventricle is None else codes.left_ventricle
    if len(chosen) < 2 or leading is None:
        return HeartPhases()
    sizes = [counts.voxels(leading, frame) for frame in chosen]
    phases = VentriclePhases(chosen[sizes.index(max(sizes))], chosen[sizes.index(min(sizes))])
    return HeartPhases(phases, phases)


def _ventricle(content: Mapping[str, Any], n_frames: int) -> VentriclePhases:
    ed, es = (None if content[phase] is None else int(content[phase]) for phase in PHASES)
    if not all(frame is None or 0 <= frame < n_frames for frame in (ed, es)):
        raise ValueError("no such frame")
    return VentriclePhases(ed, es, frozenset(one for one in PHASES if one in content["pinned"]))
