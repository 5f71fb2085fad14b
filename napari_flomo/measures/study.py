"""All measures of the labels of a heart, of any origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.measures.body import body_surface_m2
from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.flags import Flag, HeartFlags
from napari_flomo.measures.heart import HeartMeasures, heart_of_cine, heart_of_phases
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.phases import HeartPhases
from napari_flomo.measures.structures import StructureVolume, structure_volumes
from napari_flomo.measures.wall import WallThickness, thickening, wall_thickness
from napari_flomo.models import Label
from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class StudyMeasures:
    """Measures of one study.

    Attributes
    ----------
    structures
        Every structure in every frame: the volume-time curves of a cine.
    heart
        Volumes, ejection fraction and mass; None for labels that are not of a heart.
    body_surface_m2
        By which `indexed` divides; None if height or weight are unknown.
    wall
        Thickness at ``"ED"`` and ``"ES"``, or in the ``"only"`` frame, where it can be measured.
    flags
        What contradicts anatomy, at end diastole and end systole of a cine.
    frames
        Label image and frame, counted from 0, of ``"ED"`` and ``"ES"`` of the left ventricle, or of
        the ``"only"`` frame that is measured.
    """

    structures: list[StructureVolume]
    heart: HeartMeasures | None
    body_surface_m2: float | None
    wall: Mapping[str, WallThickness]
    flags: tuple[Flag, ...]
    frames: Mapping[str, tuple[int, int]]

    @property
    def indexed(self) -> dict[str, float | None]:
        """Volumes and mass per square metre of body surface; empty if that is unknown."""
        heart, surface = self.heart, self.body_surface_m2
        if heart is None or surface is None:
            return {}
        values: dict[str, float | None] = {"mass_g_per_m2": heart.mass_g}
        for side, ventricle in (("left", heart.left), ("right", heart.right)):
            for name in ("edv", "esv", "sv"):
                ml = None if ventricle is None else getattr(ventricle, f"{name}_ml")
                values[f"{side}_{name}_ml_per_m2"] = ml
        return {name: None if value is None else value / surface for name, value in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return all measures in plain JSON types, for the structures as dataclasses."""
        both = {"ED", "ES"} <= self.wall.keys()
        return {
            "structures": self.structures,
            "heart": None if self.heart is None else self.heart.to_dict(),
            "body_surface_m2": self.body_surface_m2,
            "indexed": self.indexed,
            "wall": {
                name: {"mean_mm": wall.mean_mm, "segments_mm": wall.segments_mm}
                for name, wall in self.wall.items()
            },
            "thickening_percent": thickening(self.wall["ED"], self.wall["ES"]) if both else None,
            "flags": self.flags,
        }


def measure_study(
    labels: Volume,
    names: Iterable[Label],
    *,
    systole: Volume | None = None,
    phases: HeartPhases | None = None,
    frames: Sequence[int] | None = None,
    whole: Sequence[int] | None = None,
    height_cm: float | None = None,
    weight_kg: float | None = None,
) -> StudyMeasures:
    """Measure labels of a heart; no model is needed.

    Parameters
    ----------
    labels
        A cine, a single frame, or end diastole if ``systole`` is given.
    names
        Labels and their codes.
    systole
        Labels at end systole, if they are an image of their own.
    phases
        End diastole and end systole of a cine; chosen by volume by default.
    frames
        Frames of a cine that were segmented, all by default; others are not measured.
    whole
        Those of them all of whose slices were segmented, all by default.
    height_cm, weight_kg
        Of the person, for indexed values.

    Raises
    ------
    FlomoError
        If an image is not of an integer type, or height and weight are implausible or only one of
        them is given.
    """
    structures = {label.code: label.name for label in names if label.code}
    surface = body_surface_m2(height_cm, weight_kg)
    codes = HeartCodes.of(names)
    images = [labels] if systole is None else [labels, systole]
    if len(images) == 2 and any(image.n_frames > 1 for image in images):
        raise FlomoError("Two label images are end diastole and end systole; give one frame each.")
    volumes = [
        StructureVolume(one.code, one.name, number + one.frame, one.voxels, one.ml)
        for number, image in enumerate(images)
        for one in structure_volumes(image, structures, frames)
    ]
    segmented = range(labels.n_frames) if frames is None else frames
    if codes is None:
        only = {"only": (0, segmented[0] if segmented else 0)}
        return StudyMeasures(volumes, None, surface, {}, (), only)
    counts = [VoxelCounts.of(image, structures) for image in images]
    if systole is None:
        heart = heart_of_cine(counts[0], codes, phases, frames=frames, whole=whole)
        assert heart.phases is not None
        measured = _frames_of(heart.phases, segmented)
        checked = {frame: (labels, frame) for frame in heart.phases.among(segmented)}
    else:
        heart = heart_of_phases(counts[0], counts[1], codes)
        measured = {"ED": (0, 0), "ES": (1, 0)}
        checked = {0: (labels, 0), 1: (systole, 0)}
    walls: dict[str, WallThickness] = {}
    if None not in (codes.left_ventricle, codes.myocardium) and labels.geometry.spacing_known:
        for name, (number, frame) in measured.items():
            if (wall := wall_thickness(images[number], codes, frame)) is not None:
                walls[name] = wall
    flags = _flags(checked, codes, heart)
    return StudyMeasures(volumes, heart, surface, walls, flags, measured)


def _frames_of(phases: HeartPhases, segmented: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return the frames of a cine whose wall and contours are shown."""
    left = phases.left
    if left.ed is None or left.es is None:
        return {"only": (0, segmented[0] if segmented else 0)}
    return {"ED": (0, left.ed), "ES": (0, left.es)}


def _flags(
    checked: Mapping[int, tuple[Volume, int]], codes: HeartCodes, heart: HeartMeasures
) -> tuple[Flag, ...]:
    """Check frames of label images, by the number that their flags get."""
    flags = HeartFlags(codes)
    for number, (image, frame) in checked.items():
        for slice_, pixels in enumerate(image.data.reshape(-1, *image.spatial_shape)[frame]):
            flags.update(number, slice_, pixels)
    return flags.flags(heart)
