"""Volumes at end-diastole and end-systole, ejection fraction and mass of a heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from napari_flomo.measures.conventions import Conventions
from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.phases import HeartPhases, choose_phases


@dataclass(frozen=True)
class Ventricle:
    """Cavity volumes of a ventricle in ml at end-diastole and end-systole; None if unknown."""

    edv_ml: float | None
    esv_ml: float | None

    @property
    def sv_ml(self) -> float | None:
        """Stroke volume in ml."""
        if self.edv_ml is None or self.esv_ml is None:
            return None
        return self.edv_ml - self.esv_ml

    @property
    def ef_percent(self) -> float | None:
        """Ejection fraction in percent; None also for an empty cavity."""
        if self.sv_ml is None or not self.edv_ml:
            return None
        return 100 * self.sv_ml / self.edv_ml

    def rows(self) -> tuple[tuple[str, float | None, str], ...]:
        """Return name, value and unit of each measure."""
        return (
            ("EDV", self.edv_ml, "ml"),
            ("ESV", self.esv_ml, "ml"),
            ("SV", self.sv_ml, "ml"),
            ("EF", self.ef_percent, "%"),
        )


@dataclass(frozen=True)
class HeartMeasures:
    """Measures of the heart from its labels.

    Attributes
    ----------
    left, right
        The ventricles; None if the model does not segment them or the spacing is unknown.
    mass_g
        Left ventricular myocardium in grams, at end-diastole or in the only frame.
    phases
        The frames that were measured; None for two images, see `heart_of_phases`. They are unknown
        for a single frame, for which the ventricles have no volumes; `VoxelCounts.ml` returns
        those of the frame.
    complete
        Whether every slice of these frames was segmented; otherwise volumes are too small.
    conventions
        How volumes and mass were computed.
    """

    left: Ventricle | None
    right: Ventricle | None
    mass_g: float | None
    phases: HeartPhases | None
    complete: bool = True
    conventions: Conventions = field(default_factory=Conventions)

    def to_dict(self) -> dict[str, Any]:
        """Return all measures in plain JSON types; None for unknown ones."""
        left, right = (
            None
            if one is None
            else {name: getattr(one, name) for name in ("edv_ml", "esv_ml", "sv_ml", "ef_percent")}
            for one in (self.left, self.right)
        )
        return {
            "left_ventricle": left,
            "right_ventricle": right,
            "mass_g": self.mass_g,
            "phases": None if self.phases is None else self.phases.to_dict(),
            "complete": self.complete,
            "conventions": asdict(self.conventions),
        }


def heart_of_cine(
    counts: VoxelCounts,
    codes: HeartCodes,
    phases: HeartPhases | None = None,
    *,
    frames: Sequence[int] | None = None,
    whole: Sequence[int] | None = None,
) -> HeartMeasures:
    """Measure a cine at end-diastole and end-systole.

    Parameters
    ----------
    counts
        Of the labels; their conventions are those of the measures.
    codes
        Of the parts of the heart.
    phases
        The frames to measure, by default those of `choose_phases`.
    frames
        Frames that were segmented, all by default; there are no volumes in others.
    whole
        Those of them all of whose slices were segmented, all by default.
    """
    segmented = list(range(counts.n_frames)) if frames is None else list(frames)
    complete = segmented if whole is None else list(whole)
    if phases is None:
        phases = choose_phases(counts, codes, complete or segmented)
    left, right = (
        Ventricle(_ml(counts, code, one.ed, segmented), _ml(counts, code, one.es, segmented))
        if code is not None and counts.ml_per_voxel is not None and segmented
        else None
        for code, one in (
            (codes.left_ventricle, phases.left),
            (codes.right_ventricle, phases.right),
        )
    )
    only = segmented[0] if len(segmented) == 1 else None
    mass_frame = only if phases.left.ed is None else phases.left.ed
    mass = _mass(counts, codes, mass_frame, segmented)
    used = phases.frames or tuple(segmented[:1])
    whole_phases = set(used) <= set(complete)
    return HeartMeasures(left, right, mass, phases, whole_phases, counts.conventions)


def heart_of_phases(
    diastole: VoxelCounts, systole: VoxelCounts, codes: HeartCodes
) -> HeartMeasures:
    """Measure two images whose first frames are end-diastole and end-systole."""
    left, right = (
        Ventricle(_ml(diastole, code, 0, [0]), _ml(systole, code, 0, [0]))
        if code is not None and None not in (diastole.ml_per_voxel, systole.ml_per_voxel)
        else None
        for code in (codes.left_ventricle, codes.right_ventricle)
    )
    mass = _mass(diastole, codes, 0, [0])
    return HeartMeasures(left, right, mass, None, conventions=diastole.conventions)


def _ml(
    counts: VoxelCounts, code: int | None, frame: int | None, segmented: Sequence[int]
) -> float | None:
    """Return the volume of a part in a frame; None if part or frame are not segmented."""
    if code is None or frame is None or frame not in segmented:
        return None
    return counts.ml(code, frame)


def _mass(
    counts: VoxelCounts, codes: HeartCodes, frame: int | None, segmented: Sequence[int]
) -> float | None:
    ml = _ml(counts, codes.myocardium, frame, segmented)
    return None if ml is None else ml * counts.conventions.density_g_per_ml
