"""What a heart's labels mean: volumes at the ends of diastole and systole, EF and mass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.models.card import Label

MYOCARDIAL_DENSITY_G_PER_ML = 1.05
"""Schulz-Menger et al., Standardized image interpretation and post-processing in cardiovascular
magnetic resonance - 2020 update, J Cardiovasc Magn Reson 22:19, doi 10.1186/s12968-020-00610-6."""


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
        raise NotImplementedError


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
        Left ventricular myocardium at the end of diastole, in grams.
    ed_frame, es_frame
        Frames (or, of `heart_of_phases`, images) at the ends of diastole and systole; None when
        there is but one frame, so that no phase is known. With one frame ``edv_ml`` holds its
        volume **only** if the caller knows that it is the end of diastole.
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
    raise NotImplementedError


def heart_of_phases(
    diastole: VoxelCounts, systole: VoxelCounts, codes: HeartCodes
) -> HeartMeasures:
    """Measure two images with one frame each: the ends of diastole and of systole."""
    raise NotImplementedError
