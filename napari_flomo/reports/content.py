"""What a report contains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from napari_flomo import __version__
from napari_flomo.measures import (
    HeartCodes,
    StudyMeasures,
    Ventricle,
    agreement_limits,
    agreement_patients,
    body_surface_m2,
)
from napari_flomo.models import Label, ModelCard
from napari_flomo.volumes import Volume

DISCLAIMER = "For research and education. Not a medical device."
"""Sentence that every report contains."""

TO_CHECK = "Labels to check:"
"""Title of the list of flags."""

REPORT_FORMATS = (".pdf", ".csv", ".json", ".txt")
"""Endings of the files that a report can be written to."""


@dataclass(frozen=True)
class ReportRow:
    """One measure.

    Attributes
    ----------
    name, value, unit
        As shown, for example "LV EDV", 142.31, "ml".
    indexed
        Per square metre of body surface; None if that is unknown or makes no sense.
    limits
        Limits of agreement of the model with a reader, without corrections; empty if unknown.
    patients
        Of the limits, in words.
    """

    name: str
    value: float | None
    unit: str
    indexed: float | None = None
    limits: str = ""
    patients: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """A study to report.

    Attributes
    ----------
    measures
        Of the labels.
    labels
        The label images: a cine or a single frame, or end diastole and end systole.
    names
        Labels and their codes.
    images
        The images that the labels belong to, in the same order; without them no contours are drawn.
    card
        Of the model that made the labels; None for labels of unknown origin.
    title, patient
        Free text for the head of the report; nothing is filled in.
    accepted
        What a person accepted, for example "12 of 20 slices accepted".
    """

    measures: StudyMeasures
    labels: Sequence[Volume]
    names: Sequence[Label]
    images: Sequence[Volume] = ()
    card: ModelCard | None = None
    title: str = "Cardiac function"
    patient: str = ""
    accepted: str = ""
    version: str = field(default=__version__)

    @property
    def codes(self) -> HeartCodes | None:
        """Codes of the parts of the heart; None for other labels."""
        return HeartCodes.of(self.names)

    @property
    def origin(self) -> str:
        """Where the labels come from."""
        model = "labels of unknown origin" if self.card is None else f"model {self.card.name}"
        return f"napari-flomo {self.version}, {model}"

    def of_person(
        self,
        height_cm: float | None,
        weight_kg: float | None,
        patient: str,
        heart_rate: float | None = None,
    ) -> Report:
        """Return the report with what is known of a person, and a line for the head of the report.

        Height and weight give values per body surface; a heart rate (beats per minute) takes the
        place of that of the image. Raises `FlomoError` if one of them is implausible, or only one
        of height and weight is given.
        """
        surface = body_surface_m2(height_cm, weight_kg)
        rate = self.measures.heart_rate.stated(heart_rate)
        measures = replace(self.measures, body_surface_m2=surface, heart_rate=rate)
        return replace(self, measures=measures, patient=patient)

    def rows(self) -> list[ReportRow]:
        """Return the measures of both ventricles and the myocardium; other labels' volumes."""
        heart = self.measures.heart
        found: list[ReportRow] = []
        if heart is not None:
            for short, name, ventricle in (
                ("LV", "left ventricle", heart.left),
                ("RV", "right ventricle", heart.right),
            ):
                if ventricle is not None and ventricle.edv_ml:
                    found += self._ventricle(short, name, ventricle)
        if not found:
            found = self._volumes()
        rate = self.measures.heart_rate.per_minute
        if rate is not None and any(self.measures.cardiac_output.values()):
            found.append(ReportRow("Heart rate", rate, "/min"))
        if heart is not None and heart.mass_g is not None:
            found.append(ReportRow("LV mass", heart.mass_g, "g", self._indexed("mass_g_per_m2")))
        found += [
            ReportRow("Wall" if phase == "only" else f"Wall, {phase}", wall.mean_mm, "mm")
            for phase, wall in self.measures.wall.items()
        ]
        return found

    def convention_lines(self) -> list[str]:
        """Return how the measures were computed, in sentences."""
        *volumes, mass = self.measures.conventions.sentences()
        return [
            " ".join(volumes),
            f"{mass} Body surface: Mosteller. Wall: between inner and outer contour, in slices "
            "whose cavity is enclosed by wall.",
            *(note.line(first=1) for note in self.measures.notes),
            *([self.measures.heart_rate.note] if self.measures.heart_rate.note else []),
        ]

    def flag_lines(self) -> list[str]:
        """Return a line for each flag, with frame and slice counted from 1."""
        moving = len(self.labels) > 1 or self.labels[0].n_frames > 1
        return [flag.line(first=1, moving=moving) for flag in self.measures.flags]

    def _volumes(self) -> list[ReportRow]:
        """Return the volumes of the first frame that was measured."""
        structures = self.measures.structures
        surface = self.measures.body_surface_m2
        return [
            ReportRow(one.name, one.voxels, "voxels")
            if one.ml is None
            else ReportRow(one.name, one.ml, "ml", one.ml / surface if surface else None)
            for one in structures
            if one.frame == structures[0].frame
        ]

    def _ventricle(self, short: str, name: str, ventricle: Ventricle) -> list[ReportRow]:
        side = "left" if short == "LV" else "right"
        rows = [
            ReportRow(
                f"{short} {measure}",
                value,
                unit,
                self._indexed(f"{side}_{measure.lower()}_ml_per_m2"),
                *self._limits(name, measure),
            )
            for measure, value, unit in ventricle.rows()
        ]
        output = self.measures.cardiac_output[side]
        if output is not None:
            index = self._indexed(f"{side}_output_l_min_per_m2")
            rows.append(ReportRow(f"{short} output", output, "l/min", index))
        return rows

    def _indexed(self, name: str) -> float | None:
        return self.measures.indexed.get(name)

    def _limits(self, ventricle: str, measure: str) -> tuple[str, str]:
        limits = agreement_limits(self.card, ventricle, measure) if self.card else None
        return ("", "") if limits is None else (str(limits), agreement_patients(limits))
