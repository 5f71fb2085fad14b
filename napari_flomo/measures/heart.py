"""What a heart's labels mean: volumes at the ends of diastole and systole, EF and mass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.models.card import Label

MYOCARDIAL_DENSITY_G_PER_ML = 1.05
"""Schulz-Menger et al., Standardized image interpretation and post-processing in cardiovascular
magnetic resonance - 2020 update, J Cardiovasc Magn Reson 22:19, doi 10.1186/s12968-020-00610-6."""

_CONCEPTS = {
    "87878005": "left_ventricle",
    "53085002": "right_ventricle",
    "74281007": "myocardium",
}
_CAVITY = r"(v|[ _-]ventric(le|ular))([ _-](cavity|blood[ _-]pool))?"
_NAMES = {
    "left_ventricle": re.compile(f"l(eft)?{_CAVITY}"),
    "right_ventricle": re.compile(f"r(ight)?{_CAVITY}"),
    "myocardium": re.compile(r"((lv|left[ _-]ventricular)[ _-])?myo(cardium)?"),
}


@dataclass(frozen=True)
class HeartCodes:
    """Which label code is which part of the heart; None where a model does not know the part."""

    left_ventricle: int | None = None
    right_ventricle: int | None = None
    myocardium: int | None = None

    @classmethod
    def of(cls, labels: Iterable[Label]) -> HeartCodes | None:
        """Find the parts in a card's labels by their SNOMED CT concepts, else by their names.

        None when neither ventricle is among them.
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
    """The function of one ventricle.

    Attributes
    ----------
    edv_ml, esv_ml
        Cavity at the ends of diastole and systole, in ml; None when that phase is not known.
    sv_ml
        Stroke volume, ``edv_ml - esv_ml``.
    ef_percent
        Ejection fraction, ``100 * sv_ml / edv_ml``.
    """

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
        """Ejection fraction in percent; None also when the cavity is empty."""
        if self.sv_ml is None or not self.edv_ml:
            return None
        return 100 * self.sv_ml / self.edv_ml


@dataclass(frozen=True)
class HeartMeasures:
    """What can be said of the heart from its labels.

    Attributes
    ----------
    left, right
        The ventricles; None where the model does not know them or millimetres are unknown.
    mass_g
        Left ventricular myocardium in grams: at the end of diastole, or in the only frame.
    ed_frame, es_frame
        Frames at the ends of diastole and systole; None with one frame, whose phase nobody knows.
        The ventricles then have no volumes here; `VoxelCounts.ml` tells those of the frame.
    complete
        Whether every slice of the frames was segmented; volumes of a part are too small.
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
    """Measure a cine: the end of diastole is the frame with the largest left ventricle.

    The right ventricle is read off in the same two frames; where a model knows no left ventricle,
    the right one decides.

    Parameters
    ----------
    counts
        Of the label image.
    codes
        Which code is which part.
    frames
        Those that were segmented; all by default.
    complete
        See `HeartMeasures`.
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
    """Measure two images, of whose first frames the ends of diastole and of systole are known."""
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
