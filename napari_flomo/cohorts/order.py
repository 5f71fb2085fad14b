"""What is wanted of every study alike, and where its files go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_flomo.cohorts.finding import Study

STUDIES = "studies"
FORMATS = (".nii.gz", ".nrrd", ".mha")
CONTENTS = ("labels", "uncertainty", "probabilities")


@dataclass(frozen=True)
class Order:
    """The same for all studies of a run.

    Attributes
    ----------
    root, out
        The folder of the images and that of the results; the same paths on all computers that work.
    device, engine
        As `Segmenter` takes them.
    mirrored
        As `Segmenter.segment` takes it.
    uncertainty, probabilities
        Whether these are written beside the labels.
    suffix
        Of labels and uncertainty, one of `FORMATS`. Probabilities are always NIfTI.
    run
        Number of the run, for the rows.
    series
        Which series of a DICOM folder, as `napari_flomo.volumes.read` takes it.
    slice_axis
        As `napari_flomo.volumes.read` takes it.
    """

    root: Path
    out: Path
    device: str = "auto"
    engine: str = "auto"
    mirrored: bool = False
    uncertainty: bool = False
    probabilities: bool = False
    suffix: str = ".nii.gz"
    run: int = 1
    series: str | None = None
    slice_axis: str | None = None

    @property
    def contents(self) -> list[str]:
        """What is written for each study."""
        asked = (True, self.uncertainty, self.probabilities)
        return [name for name, wanted in zip(CONTENTS, asked, strict=True) if wanted]

    def outputs(self, study: str) -> dict[str, str]:
        """Return the files of a study, relative to `out`, by what they hold."""
        suffixes = {"probabilities": ".nii.gz"}
        place = STUDIES if study == "." else f"{STUDIES}/{study}"
        return {
            content: f"{place}/{content}{suffixes.get(content, self.suffix)}"
            for content in self.contents
        }


@dataclass(frozen=True)
class StudyTask:
    """One study to be segmented now.

    Attributes
    ----------
    study
        Which one.
    known
        Line of the manifest from an earlier time, where the files seem to have changed since.
    attempt
        1 for the first try.
    """

    study: Study
    known: bytes | None = None
    attempt: int = 1
