"""Measurement groups of a structured report: volumes of segments, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError
from napari_flomo.measures import PHASES, Ventricle
from napari_flomo.models import Label
from napari_flomo.reports.concepts import term
from napari_flomo.reports.content import Report

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    from pydicom import Dataset

    Group = (
        VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations
    )

Place = tuple[int, int]
"""Number of the label image, and frame, counted from 0."""

Objects = Mapping[Place, Sequence["Dataset"]]
"""The DICOM Segmentation objects of each frame."""

PHASE_NAMES = {"ED": "end diastole", "ES": "end systole", "only": "only frame"}


def measured_places(report: Report) -> dict[Place, str]:
    """Return the frames that a structured report refers to, and their phases.

    The phases of the right ventricle may be other frames than those of the left one.
    """
    found = {place: phase for phase, place in report.measures.frames.items()}
    for phase, place in _right_places(report).items():
        found.setdefault(place, phase)
    return found


def _right_places(report: Report) -> dict[str, Place]:
    """Return the frames of the right ventricle by phase."""
    heart = report.measures.heart
    if len(report.labels) == 2 or heart is None or heart.phases is None:
        return dict(report.measures.frames)
    frames = {phase: heart.phases.right.frame(phase) for phase in PHASES}
    known = {str(phase): (0, frame) for phase, frame in frames.items() if frame is not None}
    return known if len(known) == len(PHASES) else dict(report.measures.frames)


class MeasurementGroups:
    """Makes the groups of a report.

    Attributes
    ----------
    groups
        A group for each structure in each phase (TID 1411), and groups for the function of each
        ventricle and for the body surface (TID 1501).
    used
        The segmentations that the groups refer to.
    """

    def __init__(self, report: Report, objects: Objects, modality: str) -> None:
        self._report = report
        self._objects = objects
        self._modality = modality
        used: dict[str, Dataset] = {}
        self._used = used
        self.groups: list[Group] = [*self._segments(), *self._function(), *self._person()]
        self.used = list(used.values())

    def _segments(self) -> Iterator[VolumetricROIMeasurementsAndQualitativeEvaluations]:
        """Yield a group for each structure in each phase."""
        codes = self._report.codes
        for label in self._report.names:
            if not label.code:
                continue
            right = codes is not None and label.code == codes.right_ventricle
            places = _right_places(self._report) if right else self._report.measures.frames
            for phase, place in places.items():
                measurements = list(self._volumes(label, phase, place))
                if measurements:
                    yield self._segment(label, phase, place, measurements)

    def _volumes(self, label: Label, phase: str, place: Place) -> Iterator[Measurement]:
        """Yield the measurements of one structure in one phase."""
        report, codes = self._report, self._report.codes
        number = sum(place)  # of two images, the second has frame 1
        ml = next(
            (
                one.ml
                for one in report.measures.structures
                if one.code == label.code and one.frame == number
            ),
            None,
        )
        if not ml:
            return
        side = ""
        if codes is not None:
            side = {codes.left_ventricle: "LV", codes.right_ventricle: "RV"}.get(label.code, "")
        surface = report.measures.body_surface_m2
        yield from _measured((f"{side} {phase[:2]}V", "volume"), ml, "ml", surface)
        heart = report.measures.heart
        is_wall = codes is not None and label.code == codes.myocardium
        if is_wall and phase != "ES" and heart is not None and heart.mass_g is not None:
            yield from _measured(("LV mass",), heart.mass_g, "g", surface)

    def _segment(
        self, label: Label, phase: str, place: Place, measurements: Sequence[Measurement]
    ) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
        from highdicom import UID
        from highdicom.sr import (
            FindingSite,
            QualitativeEvaluation,
            ReferencedSegment,
            TrackingIdentifier,
            VolumetricROIMeasurementsAndQualitativeEvaluations,
        )

        dataset, number = self._segment_of(label, place)
        self._used[str(dataset.SOPInstanceUID)] = dataset
        category, kind = label.terms
        phases = [] if phase == "only" else [QualitativeEvaluation(term("phase"), term(phase))]
        return VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(UID(), f"{label.name}, {PHASE_NAMES[phase]}"),
            referenced_segment=ReferencedSegment.from_segmentation(dataset, number),
            finding_category=_concept(category.code, category.meaning),
            finding_type=_concept(kind.code, kind.meaning),
            finding_sites=[FindingSite(_concept(kind.code, kind.meaning))],
            algorithm_id=self._algorithm(),
            measurements=measurements,
            qualitative_evaluations=phases,
        )

    def _segment_of(self, label: Label, place: Place) -> tuple[Dataset, int]:
        """Return the object with the segment of a structure, and its number."""
        for dataset in self._objects.get(place, ()):
            for segment in dataset.SegmentSequence:
                if str(segment.SegmentLabel) == label.name:
                    return dataset, int(segment.SegmentNumber)
        raise FlomoError(
            f"There is no DICOM segmentation of {label.name} in frame {place[1] + 1}; save those "
            "of end diastole and end systole."
        )

    def _function(self) -> Iterator[MeasurementsAndQualitativeEvaluations]:
        """Yield a group with stroke volume and ejection fraction of each ventricle."""
        heart, codes = self._report.measures.heart, self._report.codes
        if heart is None or codes is None:
            return
        sides = (
            ("LV", codes.left_ventricle, heart.left),
            ("RV", codes.right_ventricle, heart.right),
        )
        for side, code, ventricle in sides:
            if code is not None and ventricle is not None and ventricle.ef_percent is not None:
                label = next(one for one in self._report.names if one.code == code)
                yield self._group(f"{label.name}, function", self._ejection(side, ventricle), label)

    def _ejection(self, side: str, ventricle: Ventricle) -> list[Measurement]:
        surface = self._report.measures.body_surface_m2
        names = (f"{side} EF {self._modality}", "EF")
        assert ventricle.sv_ml is not None
        assert ventricle.ef_percent is not None
        return [
            *_measured(("SV",), ventricle.sv_ml, "ml", surface),
            *_measured(names, ventricle.ef_percent, "%"),
        ]

    def _person(self) -> Iterator[MeasurementsAndQualitativeEvaluations]:
        """Yield a group with the body surface, if it was given."""
        from highdicom.sr import Measurement

        surface = self._report.measures.body_surface_m2
        if surface is not None:
            measurement = Measurement(
                term("body surface"), round(surface, 3), term("m2"), method=term("Mosteller")
            )
            yield self._group("body surface", [measurement])

    def _group(
        self, name: str, measurements: Sequence[Measurement], label: Label | None = None
    ) -> MeasurementsAndQualitativeEvaluations:
        from highdicom import UID
        from highdicom.sr import (
            FindingSite,
            MeasurementsAndQualitativeEvaluations,
            TrackingIdentifier,
        )

        finding = None if label is None else _concept(label.terms[1].code, label.terms[1].meaning)
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(UID(), name),
            finding_type=finding,
            finding_sites=None if finding is None else [FindingSite(finding)],
            algorithm_id=None if label is None else self._algorithm(),
            measurements=measurements,
        )

    def _algorithm(self) -> AlgorithmIdentification | None:
        from highdicom.sr import AlgorithmIdentification

        card = self._report.card
        return None if card is None else AlgorithmIdentification(card.name, card.card_hash[:16])


def _measured(
    names: Sequence[str], value: float, unit: str, surface: float | None = None
) -> Iterator[Measurement]:
    """Yield a measurement, and the same per body surface if that is known."""
    from highdicom.sr import CodeContentItem, Measurement, RelationshipTypeValues

    yield Measurement(term(*names), round(value, 2), term(unit))
    if surface is not None:
        indexed = Measurement(term(*names), round(value / surface, 2), term(f"{unit}/m2"))
        indexed[0].ContentSequence = [
            CodeContentItem(
                term("index"), term("by body surface"), RelationshipTypeValues.HAS_CONCEPT_MOD
            ),
            *indexed[0].get("ContentSequence", ()),
        ]
        yield indexed


def _concept(code: str, meaning: str) -> Any:
    from pydicom.sr.coding import Code

    return Code(code, "SCT", meaning)
