"""Agreement of two readers over all images that both corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flomo_training.bland_altman import BlandAltman, bland_altman
from flomo_training.bootstrap import Estimate, Sample, estimate
from flomo_training.readers.comparison import (
    ComparedImage,
    MeasureAgreement,
    StructureAgreement,
    compare_image,
    measure_patients,
    structure_volumes,
)
from flomo_training.readers.pairing import ReaderPair, choose_readers, pair_readers
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import FlomoError
from napari_flomo.progress import Progress, ProgressCallback, no_progress


@dataclass(frozen=True)
class StructureSummary:
    """Agreement on one structure: number of volumes, mean Dice and HD95 with their intervals."""

    name: str
    volumes: int
    dice: Estimate
    hd95_mm: Estimate


@dataclass(frozen=True)
class MeasureSummary:
    """Agreement on one measure; differences are second less first reader."""

    name: str
    unit: str
    agreement: BlandAltman


@dataclass(frozen=True)
class ReaderAgreement:
    """Agreement of two readers.

    Attributes
    ----------
    aliases
        Of the first and the second reader, as in the store.
    pairs
        The images that both corrected.
    rows
        Each structure of each frame.
    measures
        Each measure of each patient. Without a heart that both reviewed completely: volumes of the
        structures by frame.
    left_out
        One sentence for everything that could not be compared.
    """

    aliases: tuple[str, str]
    pairs: tuple[ReaderPair, ...]
    rows: tuple[StructureAgreement, ...]
    measures: tuple[MeasureAgreement, ...]
    left_out: tuple[str, ...] = ()

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len({pair.patient for pair in self.pairs})

    @property
    def has_proposals(self) -> bool:
        """Whether readers corrected labels of a model, in any image."""
        return any(pair.first.proposed or pair.second.proposed for pair in self.pairs)

    @property
    def slices(self) -> int:
        """Number of slices that both readers reviewed."""
        return sum(len(slices) for pair in self.pairs for slices in pair.seen.values())

    @property
    def changed(self) -> tuple[int, int]:
        """Numbers of these slices that the first and the second reader changed."""
        first = sum(pair.changed(pair.first) for pair in self.pairs)
        return first, sum(pair.changed(pair.second) for pair in self.pairs)

    def structures(self) -> list[StructureSummary]:
        """Return the means of every structure that a reader drew."""
        found = []
        for name in dict.fromkeys(row.structure for row in self.rows):
            own = [row for row in self.rows if row.structure == name and row.dice == row.dice]
            patients = [row.patient for row in own]
            if own:
                dice, hd95 = (
                    estimate(Sample(values, patients, [name] * len(own)))
                    for values in ([row.dice for row in own], [row.hd95_mm for row in own])
                )
                found.append(StructureSummary(name, len(own), dice, hd95))
        return found

    def limits(self) -> list[MeasureSummary]:
        """Return bias and limits of agreement of every measure."""
        found = []
        for name in dict.fromkeys(row.measure for row in self.measures):
            own = [row for row in self.measures if row.measure == name]
            agreement = bland_altman([row.difference for row in own], [row.patient for row in own])
            found.append(MeasureSummary(name, own[0].unit, agreement))
        return found


def compare_readers(
    store: CorrectionStore,
    readers: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
) -> ReaderAgreement:
    """Compare the accepted corrections of two readers in a store.

    Parameters
    ----------
    store
        The store.
    readers
        Aliases of two readers; by default the only two in the store.
    progress
        Called with the images done and in total.

    Raises
    ------
    FlomoError
        If there are not two such readers, or no image of which both reviewed a slice.
    """
    left_out: list[str] = []
    records = [one for one in store.records(left_out.append) if one.state == "accepted"]
    aliases = choose_readers(records, readers)
    images: list[ComparedImage] = []
    pairs = pair_readers(records, aliases)
    for done, pair in enumerate(pairs, 1):
        try:
            images.append(compare_image(store, pair))
        except FlomoError as error:
            left_out.append(f"{error} It was left out.")
        progress(Progress(done, len(pairs)))
    if not images:
        raise FlomoError(
            f"There is no image of which both {aliases[0]} and {aliases[1]} reviewed a slice; let "
            "both correct the same images."
        )
    rows = tuple(row for image in images for row in image.rows)
    measures = measure_patients(images)
    return ReaderAgreement(
        aliases,
        tuple(image.pair for image in images),
        rows,
        tuple(measures or structure_volumes(rows)),
        (*left_out, *_remarks(images, measures)),
    )


def _remarks(images: Sequence[ComparedImage], measures: Sequence[MeasureAgreement]) -> list[str]:
    """Return what limits the comparison."""
    remarks = []
    measured = {row.patient for row in measures}
    without = {image.pair.patient for image in images if image.codes is not None} - measured
    if without:
        remarks.append(
            f"Patients without EDV, ESV and EF: {len(without)}. Both readers must review every "
            "slice with labels at end diastole and end systole."
        )
    different = sum(not image.pair.same_proposal for image in images)
    if different:
        remarks.append(
            f"Images of which the readers corrected labels of different models: {different}."
        )
    return remarks
