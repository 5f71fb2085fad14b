"""A day with a work list that must work in every viewer: segment, review, leave, resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from viewer_story import VENTRICLE, corner

from napari_flomo.session import OpenImage, Session, SliceIndex
from napari_flomo.session.viewer import ViewerAdapter
from napari_flomo.session.worklist import Studies, StudyState, WorkList
from napari_flomo.volumes import Volume, read, write

FIRST, SECOND, THIRD = "ward/first.nii.gz", "ward/second.nrrd", "zthird.nii.gz"


class StudyStage(Protocol):
    """A viewer without an image, and the hands of its user."""

    session: Session
    adapter: ViewerAdapter
    studies: Studies

    def segment(self) -> None:
        """Click Segment and wait for the end of the run."""

    def paint(self, where: np.ndarray, code: int) -> None:
        """Paint a label over voxels and wait until the session knows."""

    def leave(self, action: Callable[[], None]) -> str:
        """Do what leaves a study; agree to the question and return it."""

    def accept(self) -> None:
        """Click Accept."""

    def next_study(self) -> None:
        """Click Next study."""

    def shown(self) -> np.ndarray:
        """Return the labels on the screen."""

    def wait(self, done: Callable[[], Any]) -> None:
        """Let the viewer live until something is done."""


def tell(stage: StudyStage, folder: Path, heart: Volume) -> None:
    """Tell the story with three studies in a folder."""
    (folder / "ward").mkdir(parents=True)
    for number, name in enumerate((FIRST, SECOND, THIRD)):
        write(heart.with_data(heart.data + number), folder / name)
    studies = stage.studies
    studies.choose_folder(folder)
    settle(stage, None)
    assert [one.study.id for one in studies.listed] == [FIRST, SECOND, THIRD]
    assert {one.state for one in studies.listed} == {StudyState.NEW}

    mine = review_in_part(stage)
    question = stage.leave(stage.next_study)
    settle(stage, SECOND)
    assert "first_labels.nii.gz" in question
    np.testing.assert_array_equal(read(folder / "ward" / "first_labels.nii.gz").data, mine)
    (image,) = stage.session.images
    assert image.labels is None, "layers of the study before are gone"
    assert states(folder) == ["in review", "new", "new"]

    studies.previous()
    settle(stage, FIRST)
    finish_review(stage, mine)
    settle(stage, FIRST)
    assert states(folder) == ["accepted", "new", "new"]
    note = WorkList(folder).records.read(FIRST).note  # what a program that is killed now leaves
    assert sum(state[2] == "accepted" for state in note["review"]["states"]) == 4
    stage.next_study()  # saved without a question from now on
    settle(stage, SECOND)
    assert [one.study.id for one in studies.listed] == [SECOND, THIRD]
    assert studies.worklist.progress == (1, 3)


def review_in_part(stage: StudyStage) -> np.ndarray:
    """Open the first study, segment it, paint on it and accept a slice."""
    stage.next_study()
    settle(stage, FIRST)
    stage.segment()
    (image,) = stage.session.images
    assert stage.studies.worklist.get(FIRST).state is StudyState.SEGMENTED
    stage.paint(corner(image.labels.data.shape, 1), VENTRICLE)
    stage.adapter.go_to(image.key, SliceIndex(0, 1))
    stage.accept()
    assert image.review.accepted == 1
    return stage.shown().copy()


def finish_review(stage: StudyStage, mine: np.ndarray) -> None:
    """Find the work as it was left, and accept the rest."""
    (image,) = stage.session.images
    np.testing.assert_array_equal(stage.shown(), mine)
    assert image.review.accepted == 1
    assert image.review.edits(SliceIndex(0, 1)) > 0
    assert changed_slices(image) == [1], "what the network proposed is known"
    while not image.review.finished:
        stage.accept()


def changed_slices(image: OpenImage) -> list[int]:
    differs = image.labels.data != image.segmentation.labels.data
    return np.flatnonzero(differs.any(axis=(-2, -1))).tolist()


def states(folder: Path) -> list[str]:
    """Return the states as another program reads them."""
    return [str(one.state) for one in WorkList(folder).refresh()]


def settle(stage: StudyStage, current: str | None) -> None:
    """Wait until a study is open and everything is written."""
    stage.wait(lambda: not stage.studies.busy and stage.studies.current == current)
    written = stage.studies._thread.submit(lambda: None)
    stage.wait(written.done)
