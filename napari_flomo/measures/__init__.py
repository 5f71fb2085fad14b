"""Measures of a segmentation: volumes of structures, function of the heart."""

from __future__ import annotations

from napari_flomo.measures.agreement import (
    AgreementLimits,
    agreement_limits,
    agreement_patients,
)
from napari_flomo.measures.body import body_surface_m2
from napari_flomo.measures.conventions import (
    DENSITIES_G_PER_ML,
    MYOCARDIAL_DENSITY_G_PER_ML,
    SLICE_THICKNESS_UNKNOWN,
    Conventions,
)
from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.curve import VolumeCurve, volume_curves
from napari_flomo.measures.flags import Flag, HeartFlags
from napari_flomo.measures.heart import (
    HeartMeasures,
    Ventricle,
    heart_of_cine,
    heart_of_phases,
)
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.heart_rate import HeartRate, heart_rate_of
from napari_flomo.measures.measured_labels import MeasuredLabels
from napari_flomo.measures.phases import (
    PHASES,
    SIDES,
    HeartPhases,
    Phase,
    Side,
    VentriclePhases,
    choose_phases,
)
from napari_flomo.measures.plausibility import implausible
from napari_flomo.measures.structures import StructureVolume, structure_volumes
from napari_flomo.measures.study import StudyMeasures, measure_study, measured_frames
from napari_flomo.measures.wall import (
    WALL_SEGMENTS,
    Insertions,
    WallThickness,
    thickening,
    wall_thickness,
)

__all__ = [
    "DENSITIES_G_PER_ML",
    "MYOCARDIAL_DENSITY_G_PER_ML",
    "PHASES",
    "SIDES",
    "SLICE_THICKNESS_UNKNOWN",
    "WALL_SEGMENTS",
    "AgreementLimits",
    "Conventions",
    "Flag",
    "HeartCodes",
    "HeartFlags",
    "HeartMeasures",
    "HeartPhases",
    "HeartRate",
    "Insertions",
    "MeasuredLabels",
    "Phase",
    "Side",
    "StructureVolume",
    "StudyMeasures",
    "Ventricle",
    "VentriclePhases",
    "VolumeCurve",
    "VoxelCounts",
    "WallThickness",
    "agreement_limits",
    "agreement_patients",
    "body_surface_m2",
    "choose_phases",
    "heart_of_cine",
    "heart_of_phases",
    "heart_rate_of",
    "implausible",
    "measure_study",
    "measured_frames",
    "structure_volumes",
    "thickening",
    "volume_curves",
    "wall_thickness",
]
