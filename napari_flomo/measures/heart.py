"""Volumes at end-diastole and end-systole, ejection fraction and mass of a heart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.models import Label

MYOCARDIAL_DENSITY_G_PER_ML = 1.05
"""Schulz-Menger et al., Standardized image interpretation and post-processing in cardiovascular
magnetic resonance - 2020 update, J Cardiovasc Magn Reson 22:19, doi 10.1186/s12968-020-00610-6."""

_CONCEPTS = {"87878005": "left_ventricle", "53085002": "right_ventricle", "74281007": "myocardium"}
_CAVITY = r"(v|[ _-]ventric(le|ular))([ _-](cavity|blood[ _-]pool))?"
_NAMES = {
    "left_ventricle": re.compile(f"l(eft)?{_CAVITY}"),
    "right_ventricle": re.compile(f"r(ight)?{_CAVITY}"),
    "myocardium": re.compile(r"((lv|left[ _-]ventricular)[ _-])?myo(cardium)?"),
}


@dataclass(frozen=True)
class HeartCodes:
    """Label codes of the parts of the heart; None for parts that a model does not segment."""

    left_ventricle: int | None = None
    right_ventricle: int | None = None
    myocardium: int | None = None

    @classmethod
    def of(cls, labels: Iterable[Label]) -> HeartCodes | None:
        """Find the parts in a card's labels by their SNOMED CT concepts, else by their names.

        Returns None without any ventricle.
        """
        parts: dict[str, int] = {}
        for label in labels:
            part = _part_of(label)
            if part is not None:
                parts.setdefault(part, label.code)
        if "left_ventricle" not in parts and "right_ventricle" not in parts:
            return None
        return cls(**parts)


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


@dataclass(frozen=True)
class HeartMeasures:
    """Measures of the heart from its labels.

    Attributes
    ----------
    left, right
        The ventricles; None if the model does not segment them or the spacing is unknown.
    mass_g
        Left ventricular myocardium in grams, at end-diastole or in the only frame.
    ed_frame, es_frame
        Frames of end-diastole and end-systole; None for a single frame of unknown phase, for which
        the ventricles have no volumes; `VoxelCounts.ml` returns those of the frame.
    complete
        Whether every slice was segmented; otherwise volumes are too small.
    """

    left: Ventricle | None
    right: Ventricle | None
    mass_g: float | None
    ed_frame: int | None
    es_frame: int | None
    complete: bool = True


def heart_of_cine(
    counts: VoxelCounts,
    codes: HeartCodes,
    frames: Sequence[int] | None = None,
    *,
    complete: bool = True,
) -> HeartMeasures:
    """Measure a cine; end-diastole is the frame with the largest left ventricle.

    The right ventricle is measured in the same frames, and determines them if the model does not
    segment the left one. ``frames`` are those that were segmented, all by default; ``complete`` as
    in `HeartMeasures`.
    """
    chosen = list(range(counts.n_frames)) if frames is None else list(frames)
    leading = codes.right_ventricle if codes.left_ventricle is None else codes.left_ventricle
    if not chosen or leading is None:
        return HeartMeasures(None, None, None, None, None, complete)
    if len(chosen) == 1:
        left, right = _ventricles(counts, None, counts, None, codes)
        return HeartMeasures(left, right, _mass(counts, chosen[0], codes), None, None, complete)
    sizes = [counts.voxels(leading, frame) for frame in chosen]
    diastole, systole = chosen[sizes.index(max(sizes))], chosen[sizes.index(min(sizes))]
    left, right = _ventricles(counts, diastole, counts, systole, codes)
    mass = _mass(counts, diastole, codes)
    return HeartMeasures(left, right, mass, diastole, systole, complete)


def heart_of_phases(
    diastole: VoxelCounts, systole: VoxelCounts, codes: HeartCodes
) -> HeartMeasures:
    """Measure two images whose first frames are end-diastole and end-systole."""
    left, right = _ventricles(diastole, 0, systole, 0, codes)
    return HeartMeasures(left, right, _mass(diastole, 0, codes), None, None)


def _ventricles(
    diastole: VoxelCounts,
    ed_frame: int | None,
    systole: VoxelCounts,
    es_frame: int | None,
    codes: HeartCodes,
) -> tuple[Ventricle | None, Ventricle | None]:
    """Return the left and the right ventricle; frames that are None have no volumes."""

    def ventricle(code: int | None) -> Ventricle | None:
        if code is None or diastole.ml_per_voxel is None or systole.ml_per_voxel is None:
            return None
        return Ventricle(
            None if ed_frame is None else diastole.ml(code, ed_frame),
            None if es_frame is None else systole.ml(code, es_frame),
        )

    return ventricle(codes.left_ventricle), ventricle(codes.right_ventricle)


def _mass(counts: VoxelCounts, frame: int, codes: HeartCodes) -> float | None:
    if codes.myocardium is None:
        return None
    ml = counts.ml(codes.myocardium, frame)
    return None if ml is None else ml * MYOCARDIAL_DENSITY_G_PER_ML


def _part_of(label: Label) -> str | None:
    """Return the field of `HeartCodes` that a label fills, or None."""
    if label.snomed is not None:
        return _CONCEPTS.get(label.snomed.code)
    name = label.name.casefold()
    return next((part for part, pattern in _NAMES.items() if pattern.fullmatch(name)), None)
