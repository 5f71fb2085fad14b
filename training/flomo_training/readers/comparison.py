"""Compare the labels of two readers, structure by structure and patient by patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flomo_training.metrics import compare_slices
from flomo_training.readers.pairing import ReaderPair
from flomo_training.ventricles import QUANTITIES, VENTRICLES
from napari_flomo.corrections import CorrectionStore, Record
from napari_flomo.measures import (
    HeartCodes,
    HeartMeasures,
    VoxelCounts,
    heart_of_cine,
    heart_of_phases,
)
from napari_flomo.models import Label
from napari_flomo.volumes import Volume

NAN = float("nan")
GREY = "#808080"
MASS = "left ventricular mass"


@dataclass(frozen=True)
class StructureAgreement:
    """Agreement on one structure in one frame, in the slices that both readers reviewed.

    Attributes
    ----------
    patient
        `ReaderPair.patient`.
    first_id, second_id
        Ids of the corrections.
    frame, slices
        The frame, counted from 0, and the number of slices that both reviewed.
    dice, hd95_mm
        See `flomo_training.metrics.compare_slices`; NaN if neither reader drew the structure.
    first_ml, second_ml
        Volumes in these slices; NaN if the spacing is unknown.
    """

    patient: str
    first_id: str
    second_id: str
    frame: int
    slices: int
    structure: str
    dice: float
    hd95_mm: float
    first_ml: float
    second_ml: float


@dataclass(frozen=True)
class MeasureAgreement:
    """One measure of one patient by two readers, such as ``"left ventricle EF"`` in ``"%"``."""

    patient: str
    measure: str
    unit: str
    first: float
    second: float
    difference: float


@dataclass(frozen=True, eq=False)
class ComparedImage:
    """Labels of two readers on one image, compared.

    Attributes
    ----------
    pair
        The corrections.
    rows
        Agreement on each structure in each frame.
    counts
        Of the first and the second reader, with the codes 1, 2, ... of ``pair.structures``.
    grid
        Shape and spacing.
    """

    pair: ReaderPair
    rows: tuple[StructureAgreement, ...]
    counts: tuple[VoxelCounts, VoxelCounts]
    grid: tuple[object, ...]

    @property
    def complete(self) -> tuple[int, ...]:
        """Frames in which both readers reviewed every slice with labels."""
        slices = self.grid[0]
        assert isinstance(slices, int)
        return tuple(
            frame
            for frame, seen in self.pair.seen.items()
            if not any(
                counts.slice_voxels(code, frame, slice_)
                for slice_ in set(range(slices)) - set(seen)
                for counts in self.counts
                for code in counts.codes
            )
        )

    @property
    def codes(self) -> HeartCodes | None:
        """Which of the codes of `counts` are parts of the heart."""
        names = enumerate(self.pair.structures, 1)
        return HeartCodes.of(Label(code, name, GREY) for code, name in names)


def compare_image(store: CorrectionStore, pair: ReaderPair) -> ComparedImage:
    """Read and compare the labels of two readers.

    Raises `FlomoError` if a correction is damaged.
    """
    records = (pair.first, pair.second)
    first, second = (_labels(store, record, pair, side) for side, record in enumerate(records))
    codes = range(1, len(pair.structures) + 1)
    counts = VoxelCounts.of(first, codes), VoxelCounts.of(second, codes)
    geometry = first.geometry
    spacing = geometry.spacing[::-1] if geometry.spacing_known else None
    stacks = [one.data.reshape(one.n_frames, *one.spatial_shape) for one in (first, second)]
    rows = []
    for frame, slices in pair.seen.items():
        shown = [stack[frame][list(slices)] for stack in stacks]
        for code, structure in enumerate(pair.structures, 1):
            metrics = compare_slices(shown[0] == code, shown[1] == code, slices, spacing)
            ml = [
                NAN if per is None else per * int((pixels == code).sum())
                for pixels, per in zip(shown, (one.ml_per_voxel for one in counts), strict=True)
            ]
            rows.append(
                StructureAgreement(
                    pair.patient,
                    pair.first.id,
                    pair.second.id,
                    frame,
                    len(slices),
                    structure,
                    metrics.dice,
                    metrics.hd95_mm,
                    *ml,
                )
            )
    grid = (*first.spatial_shape, *(round(step, 4) for step in geometry.spacing))
    return ComparedImage(pair, tuple(rows), counts, grid)


def measure_patients(images: Sequence[ComparedImage]) -> list[MeasureAgreement]:
    """Return volumes, ejection fraction and mass of the hearts, as each reader drew them.

    They are measured in frames in which both readers reviewed every slice with labels: the largest
    and the smallest left ventricle of a cine, or of two images of one frame, if a patient has
    exactly two and their grids are equal. What neither reader drew is left out.
    """
    found = []
    for patient, *hearts in _hearts(images):
        first, second = map(_measures, hearts)
        for (name, size, unit), one in first.items():
            other = second[name, size, unit]
            if one is None or other is None or not (_value(first, size) or _value(second, size)):
                continue
            found.append(MeasureAgreement(patient, name, unit, one, other, other - one))
    return found


def structure_volumes(rows: Sequence[StructureAgreement]) -> list[MeasureAgreement]:
    """Return the volumes of structures in the slices that both readers reviewed, by frame."""
    return [
        MeasureAgreement(
            row.patient,
            f"{row.structure} volume",
            "ml",
            row.first_ml,
            row.second_ml,
            row.second_ml - row.first_ml,
        )
        for row in rows
        if not np.isnan(row.first_ml + row.second_ml) and not np.isnan(row.dice)
    ]


def _labels(store: CorrectionStore, record: Record, pair: ReaderPair, side: int) -> Volume:
    """Return labels with the codes 1, 2, ... of ``pair.structures``."""
    corrected = store.read(record.id, record.revision).corrected
    data = np.zeros(corrected.data.shape, np.uint8)
    for number, codes in enumerate(pair.structures.values(), 1):
        data[corrected.data == codes[side]] = number
    return corrected.with_data(data)


def _hearts(
    images: Sequence[ComparedImage],
) -> Iterator[tuple[str, HeartMeasures, HeartMeasures]]:
    single: dict[str, list[ComparedImage]] = {}
    for image in images:
        codes, complete = image.codes, image.complete
        if codes is None or not complete:
            continue
        if image.counts[0].n_frames == 1:
            single.setdefault(image.pair.patient, []).append(image)
        elif len(complete) > 1:
            first, second = (heart_of_cine(one, codes, frames=complete) for one in image.counts)
            yield image.pair.patient, first, second
    for patient, phases in single.items():
        if len(phases) == 2 and phases[0].grid == phases[1].grid:
            first, second = _heart_of_images(phases)
            yield patient, first, second


def _heart_of_images(phases: Sequence[ComparedImage]) -> list[HeartMeasures]:
    """Measure end diastole, which has the larger ventricle, and end systole."""

    def size(image: ComparedImage) -> int:
        codes = image.codes
        assert codes is not None
        code = codes.left_ventricle or codes.right_ventricle
        assert code is not None
        return sum(counts.voxels(code, 0) for counts in image.counts)

    systole, diastole = sorted(phases, key=size)
    codes = diastole.codes
    assert codes is not None
    return [
        heart_of_phases(one, other, codes)
        for one, other in zip(diastole.counts, systole.counts, strict=True)
    ]


_Measures = dict[tuple[str, str, str], float | None]
"""Values by name, the measure that is 0 if the structure was not drawn, and unit."""


def _measures(heart: HeartMeasures) -> _Measures:
    found: _Measures = {}
    for name, ventricle in zip(VENTRICLES, (heart.left, heart.right), strict=True):
        values = {} if ventricle is None else {short: ml for short, ml, _ in ventricle.rows()}
        for short, unit in QUANTITIES.items():
            found[f"{name} {short}", f"{name} EDV", unit] = values.get(short)
    return found | {(MASS, MASS, "g"): heart.mass_g}


def _value(measures: _Measures, name: str) -> float | None:
    return next(value for (own, *_), value in measures.items() if own == name)
