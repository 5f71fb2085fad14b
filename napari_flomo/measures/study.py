"""All measures of the labels of a heart, of any origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures.body import body_surface_m2
from napari_flomo.measures.conventions import SLICE_THICKNESS_UNKNOWN, Conventions
from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.flags import Flag, HeartFlags
from napari_flomo.measures.heart import HeartMeasures, heart_of_cine, heart_of_phases
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.heart_rate import HeartRate, heart_rate_of
from napari_flomo.measures.measured_labels import CountingNote, MeasuredLabels, counting_notes
from napari_flomo.measures.phases import HeartPhases, choose_phases
from napari_flomo.measures.structures import StructureVolume, volumes_of_frame
from napari_flomo.measures.wall import Insertions, WallThickness, thickening, wall_thickness
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
    heart_rate
        By which `cardiac_output` multiplies.
    conventions
        How volumes and mass are computed.
    notes
        What the conventions did to single slices of these frames.
    frames
        Label image and frame, counted from 0, of ``"ED"`` and ``"ES"`` of the left ventricle, or of
        the ``"only"`` frame that is measured.
    """

    structures: list[StructureVolume]
    heart: HeartMeasures | None
    body_surface_m2: float | None
    wall: Mapping[str, WallThickness]
    flags: tuple[Flag, ...]
    heart_rate: HeartRate
    conventions: Conventions
    notes: tuple[CountingNote, ...]
    frames: Mapping[str, tuple[int, int]]

    @property
    def cardiac_output(self) -> dict[str, float | None]:
        """Stroke volume times heart rate of each ventricle in litres per minute."""
        if self.heart is None:
            return {}
        sides = (("left", self.heart.left), ("right", self.heart.right))
        return {
            side: self.heart_rate.output_l_per_min(None if one is None else one.sv_ml)
            for side, one in sides
        }

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
        for side, output in self.cardiac_output.items():
            values[f"{side}_output_l_min_per_m2"] = output
        return {name: None if value is None else value / surface for name, value in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return all measures in plain JSON types, for the structures as dataclasses."""
        both = {"ED", "ES"} <= self.wall.keys()
        return {
            "structures": self.structures,
            "heart": None if self.heart is None else self.heart.to_dict(),
            "body_surface_m2": self.body_surface_m2,
            "heart_rate": self.heart_rate.to_dict(),
            "cardiac_output_l_per_min": self.cardiac_output,
            "indexed": self.indexed,
            "wall": {
                name: {"mean_mm": wall.mean_mm, "segments_mm": wall.segments_mm}
                for name, wall in self.wall.items()
            },
            "thickening_percent": thickening(self.wall["ED"], self.wall["ES"]) if both else None,
            "flags": self.flags,
            "conventions": asdict(self.conventions),
            "notes": self.notes,
        }


def measure_study(
    labels: Volume,
    names: Iterable[Label],
    *,
    systole: Volume | None = None,
    phases: HeartPhases | None = None,
    frames: Sequence[int] | None = None,
    whole: Sequence[int] | None = None,
    conventions: Conventions | None = None,
    images: Sequence[Volume] = (),
    height_cm: float | None = None,
    weight_kg: float | None = None,
    heart_rate: float | None = None,
    insertions: Mapping[int, Mapping[int, Insertions]] | None = None,
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
    conventions
        How volumes and mass are computed. They change neither the choice of end diastole and end
        systole, nor wall and flags.
    images
        The images that the labels belong to, in the order of the label images; needed if
        ``conventions.need_image``.
    height_cm, weight_kg
        Of the person, for indexed values.
    heart_rate
        Beats per minute, if a person states them; by default those of `heart_rate_of`.
    insertions
        Insertions of the right ventricle that a person moved, by frame of ``labels`` and slice; see
        `wall_thickness`.

    Raises
    ------
    FlomoError
        If a label image is not of an integer type, height and weight are implausible or only one of
        them is given, or the conventions need images or a slice thickness that are not known.
    """
    structures = {label.code: label.name for label in names if label.code}
    surface = body_surface_m2(height_cm, weight_kg)
    codes = HeartCodes.of(names)
    stacks = [labels] if systole is None else [labels, systole]
    if len(stacks) == 2 and any(one.n_frames > 1 for one in stacks):
        raise FlomoError("Two label images are end diastole and end systole; give one frame each.")
    conventions = conventions or Conventions()
    _check_known(conventions, stacks, images)
    rate = heart_rate_of(images or stacks).stated(heart_rate)
    segmented = list(range(labels.n_frames) if frames is None else frames)
    counts = [VoxelCounts.of(one, structures).by(conventions, one) for one in stacks]
    if codes is None:
        volumes = _volumes(counts, structures, segmented)
        only = {"only": (0, segmented[0] if segmented else 0)}
        return StudyMeasures(volumes, None, surface, {}, (), rate, conventions, (), only)
    if systole is None and phases is None:
        phases = choose_phases(counts[0], codes, whole or segmented)
    measured = [MeasuredLabels(one, codes) for one in counts]
    for number, one in enumerate(stacks):
        for frame in segmented if len(stacks) == 1 else (0,):
            grey = _stack_of(images[number], frame) if images else None
            measured[number].update(frame, _stack_of(one, frame), grey)
    if systole is None:
        heart, labelled = (
            heart_of_cine(one, codes, phases, frames=frames, whole=whole)
            for one in (measured[0].counts, counts[0])
        )
        assert heart.phases is not None
        shown = measured_frames(heart.phases, segmented)
        checked = {frame: (labels, frame) for frame in heart.phases.among(segmented)}
    else:
        heart = heart_of_phases(measured[0].counts, measured[1].counts, codes)
        labelled = heart_of_phases(counts[0], counts[1], codes)
        shown = {"ED": (0, 0), "ES": (1, 0)}
        checked = {0: (labels, 0), 1: (systole, 0)}
    return StudyMeasures(
        _volumes([one.counts for one in measured], structures, segmented),
        heart,
        surface,
        _walls(stacks, codes, shown, insertions or {}),
        _flags(checked, codes, labelled),
        rate,
        conventions,
        counting_notes(
            {
                name: measured[number].frames[frame]
                for name, (number, frame) in shown.items()
                if frame in measured[number].frames
            }
        ),
        shown,
    )


def _check_known(
    conventions: Conventions, labels: Sequence[Volume], images: Sequence[Volume]
) -> None:
    """Raise `FlomoError` if conventions need what is not known."""
    if conventions.need_image and len(images) != len(labels):
        raise FlomoError(
            "Papillary muscles are found by the grey values; give the image of the labels, too."
        )
    if conventions.need_image and any("channels" in image.axes for image in images):
        raise FlomoError("Papillary muscles are found by grey values, but the image has colours.")
    if conventions.need_thickness and any(one.slice_thickness is None for one in labels):
        raise FlomoError(SLICE_THICKNESS_UNKNOWN)


def _stack_of(volume: Volume, frame: int) -> NDArray[Any]:
    stack: NDArray[Any] = volume.data.reshape(-1, *volume.spatial_shape)[frame]
    return stack


def _volumes(
    counts: Sequence[VoxelCounts], structures: Mapping[int, str], segmented: Sequence[int]
) -> list[StructureVolume]:
    """Return the volumes in all segmented frames; of two images, in frames 0 and 1."""
    if len(counts) == 2:
        pairs = [(counts[0], 0, 0), (counts[1], 0, 1)]
    else:
        pairs = [(counts[0], frame, frame) for frame in segmented]
    return [
        one
        for count, frame, shown in pairs
        for one in volumes_of_frame(count, structures, frame, shown=shown)
    ]


def _walls(
    labels: Sequence[Volume],
    codes: HeartCodes,
    shown: Mapping[str, tuple[int, int]],
    moved: Mapping[int, Mapping[int, Insertions]],
) -> dict[str, WallThickness]:
    """Measure the wall, where it can be measured."""
    if None in (codes.left_ventricle, codes.myocardium) or not labels[0].geometry.spacing_known:
        return {}
    walls = {
        name: wall_thickness(
            labels[number], codes, frame, insertions=None if number else moved.get(frame)
        )
        for name, (number, frame) in shown.items()
    }
    return {name: wall for name, wall in walls.items() if wall is not None}


def measured_frames(phases: HeartPhases, segmented: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return `StudyMeasures.frames` of one label image: the frames whose wall is measured.

    Parameters
    ----------
    phases
        End diastole and end systole; empty for a single frame.
    segmented
        Frames that were segmented. Without phases the first of them is measured.
    """
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
        for slice_, pixels in enumerate(_stack_of(image, frame)):
            flags.update(number, slice_, pixels)
    return flags.flags(heart)
