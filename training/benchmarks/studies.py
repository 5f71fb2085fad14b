"""Studies with references: their frames, the network's results, and what a reader would change."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flomo_training.simulated_reader import redraw
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume, read

Place = tuple[int, int]
"""Frame and slice of a study."""


@dataclass(frozen=True)
class Study:
    """The frames of one patient with references and the network's result.

    ``between`` are the network's results of the frames between ED and ES of a cine.
    """

    data: str
    name: str
    images: list[Volume]
    references: list[Volume]
    found: list[Segmentation]
    between: Sequence[Segmentation] = ()

    @property
    def queue(self) -> list[Place]:
        """All slices, the most uncertain first."""
        scores = [np.atleast_2d(one.slice_scores)[0] for one in self.found]
        places = [(f, s) for f, row in enumerate(scores) for s in range(len(row))]
        return sorted(places, key=lambda place: (-scores[place[0]][place[1]], place))

    def truth(self, proposed: NDArray[np.integer], place: Place) -> NDArray[np.integer]:
        """Return a slice after correction by the reader."""
        frame, number = place
        reference = self.references[frame].data
        structures = [int(code) for code in np.unique(reference) if code]
        return redraw(proposed, reference[number], structures)

    def corrected(self, frame: int) -> NDArray[np.integer]:
        """Return the labels of a frame after correction of all of its slices."""
        labels = self.network()[frame]
        return np.stack([self.truth(labels[s], (frame, s)) for s in range(len(labels))])

    def wrong(self, labels: Sequence[NDArray[np.integer]], places: Sequence[Place]) -> int:
        """Return how many pixels the reader changes in some slices."""
        return sum(int((labels[f][s] != self.truth(labels[f][s], (f, s))).sum()) for f, s in places)

    def network(self) -> list[NDArray[np.integer]]:
        """Return the labels of the network, by frame."""
        return [one.labels.data for one in self.found]


def cases_of(
    table_file: Path, patients: Sequence[str] | None
) -> dict[str, list[tuple[Path, Path]]]:
    """Return image and label files by patient, in the order of phases."""
    found: dict[str, list[tuple[Path, Path]]] = {}
    with table_file.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if patients is None or row["patient"] in patients:
                image = table_file.parent / "images" / f"{row['case']}.nii.gz"
                labels = table_file.parent / "labels" / f"{row['case']}_gt.nii.gz"
                found.setdefault(row["patient"], []).append((image, labels))
    return found


def read_study(
    data: str, name: str, files: Sequence[tuple[Path, Path]], segmenter: Segmenter
) -> Study:
    """Read the frames of a patient and segment them."""
    images = [read(image) for image, _ in files]
    found = [segmenter.segment(image) for image in images]
    return Study(data, name, images, [read(labels) for _, labels in files], found)


def read_cines(folder: Path, segmenter: Segmenter) -> Iterator[Study]:
    """Read the real cines with labels at ED and ES, and segment them from ED to ES."""
    acdc = folder / "acdc_cine"
    labels = [read(acdc / f"patient090_frame{frame}_gt.nii.gz") for frame in ("04", "11")]
    frames = frames_of(read(acdc / "patient090_4d.nii.gz"))
    yield cine_study("ACDC cine", "patient090", frames[3:11], labels, segmenter)
    sunnybrook = folder / "sunnybrook"
    labels = [read(sunnybrook / "labels" / f"SC-HF-I-1_{one}_gt.nii.gz") for one in ("ED", "ES")]
    frames = frames_of(read(sunnybrook / "dicom" / "SC-HF-I-1"))
    diastole = read(sunnybrook / "images" / "SC-HF-I-1_ED.nii.gz")
    # The series has every second phase: ES is its fourth, ED lies between the last but one and the
    # last. From there to ES the cycle goes on with the first.
    frames = [diastole, *frames[9:], *frames[:4]]
    yield cine_study("Sunnybrook cine", "SCD0000101", frames, labels, segmenter)


def frames_of(cine: Volume) -> list[Volume]:
    """Return the frames of a cine as volumes of their own."""
    return [cine.frame(number) for number in range(cine.n_frames)]


def cine_study(
    data: str, name: str, frames: list[Volume], labels: list[Volume], segmenter: Segmenter
) -> Study:
    """Segment frames from ED to ES, both of which have references."""
    found = [segmenter.segment(frame) for frame in frames]
    images = [frames[0], frames[-1]]
    return Study(data, name, images, labels, [found[0], found[-1]], found[1:-1])
