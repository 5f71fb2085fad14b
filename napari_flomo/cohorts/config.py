"""Settings shared by all studies of a run, and the paths of their outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_flomo.volumes import Study

STUDIES = "studies"
FORMATS = (".nii.gz", ".nrrd", ".mha")
"""Endings of the label images that a cohort can write."""
CONTENTS = ("labels", "uncertainty", "probabilities")


@dataclass(frozen=True)
class CohortConfig:
    """Settings shared by all studies of a run.

    Attributes
    ----------
    root, out
        Folders of the images and of the results; the same paths on all computers.
    device, engine
        As in `Segmenter`.
    mirrored
        As in `Segmenter.segment`.
    uncertainty, probabilities
        Whether to write these beside the labels.
    suffix
        Of labels and uncertainty, one of `FORMATS`. Probabilities are always NIfTI.
    run
        Number of the run.
    series
        Series of a DICOM folder, as in `napari_flomo.volumes.read`.
    slice_axis
        As in `napari_flomo.volumes.read`.
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
        """Return the files of a study, relative to `out`, by content."""
        suffixes = {"probabilities": ".nii.gz"}
        folder = STUDIES if study == "." else f"{STUDIES}/{study}"
        return {
            content: f"{folder}/{content}{suffixes.get(content, self.suffix)}"
            for content in self.contents
        }


@dataclass(frozen=True)
class StudyTask:
    """A study to segment, and its line in the manifest if its files seem to have changed."""

    study: Study
    known: bytes | None = None
    attempt: int = 1
