"""One story that must work in every viewer.

Segment, edit, accept, lock, run again, undo, restore after a crash, learn. The test folders of the
viewers run it with their own `Stage`, each in its own process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import CorrectionStore, default_store, unfinished
from napari_flomo.jobs import State
from napari_flomo.session import (
    Busy,
    NotShown,
    OpenImage,
    Presenter,
    Session,
    SliceIndex,
    SliceState,
    UnsavedFound,
    UnsavedWork,
)
from napari_flomo.session.changes import changes_of
from napari_flomo.session.learning import FinetuneConfig, Learning
from napari_flomo.session.unsaved_messages import unsaved_lines
from napari_flomo.session.viewer import ViewerAdapter

MYOCARDIUM, VENTRICLE = 2, 3


class Stage(Protocol):
    """A viewer with an image of four slices that is chosen, and the hands of its user.

    Attributes
    ----------
    session, presenter, adapter
        Of the viewer.
    """

    session: Session
    presenter: Presenter
    adapter: ViewerAdapter

    def segment(self) -> None:
        """Click Segment for all slices; wait for the end of the run or for a question."""

    def reply(self, title: str) -> str:
        """Choose an answer to the question; wait for the end of the run; return its text."""

    def paint(self, where: np.ndarray, code: int) -> None:
        """Paint a label in the frame on the screen and wait until the session knows."""

    def undo(self) -> None:
        """Press Ctrl+Z, which undoes the last change of the labels, and wait for the session."""

    def redo(self) -> None:
        """Redo what was undone and wait until the session knows."""

    def answer(self, title: str) -> None:
        """Click a button of the message on the screen."""

    def listed(self) -> tuple[SliceIndex, ...]:
        """Return the slices in the list on the screen."""

    def contours(self) -> bool:
        """Return True if the labels are shown as contours."""

    def shown(self) -> np.ndarray:
        """Return the labels on the screen, ``(slices, rows, columns)``."""

    def hide_labels(self) -> None:
        """Hide the labels, with the viewer's own control."""

    def crash(self) -> None:
        """Close the image with unsaved labels; open it again and choose it."""

    def wait(self, done: Callable[[], Any]) -> None:
        """Let the viewer live until something is done."""


def corner(shape: tuple[int, ...], number: int, size: int = 4) -> np.ndarray:
    """Return a corner of a slice: booleans ``(slices, rows, columns)``."""
    where = np.zeros(shape, bool)
    where[number, :size, :size] = True
    return where


def tell(stage: Stage, trainer: str) -> None:
    """Tell the story; ``trainer`` is a program that stands for the training package."""
    image = segment_and_edit(stage)
    accept_and_lock(stage, image)
    mine = run_again_and_undo(stage, image)
    image = crash_and_restore(stage, mine)
    learn(stage, trainer)
    stage.session.labels_saved(image.key)


def segment_and_edit(stage: Stage) -> OpenImage:
    stage.segment()
    (image,) = stage.session.images
    proposed = image.segmentation.labels.data.copy()
    assert np.array_equal(stage.shown(), proposed)
    assert proposed.any()
    assert len(image.review.order) == image.volume.n_slices
    assert image.autosave is None, "looking leaves nothing on the disk"

    first = corner(proposed.shape, 1)
    stage.paint(first, VENTRICLE)
    wanted = np.where(first, VENTRICLE, proposed)
    assert np.array_equal(stage.shown(), wanted)
    assert np.array_equal(image.labels.data, wanted)
    changed = (wanted != proposed).sum()
    assert changes_of(image).tolist() == [[0, changed, 0, 0]]
    assert image.review.edits(SliceIndex(0, 1)) == changed
    assert image.autosave.flush(), "the stroke is on the disk"
    return image


def accept_and_lock(stage: Stage, image: OpenImage) -> None:
    presenter, adapter, key = stage.presenter, stage.adapter, image.key
    presenter.go_to(key, SliceIndex(0, 1))
    assert adapter.position(key) == SliceIndex(0, 1)
    stage.hide_labels()
    assert presenter.accept(key) is presenter.next(key) is None, "nobody sees what is accepted"
    assert adapter.not_shown(key) is NotShown.LABELS_HIDDEN
    assert image.review.accepted == 0
    adapter.show_slices(key)
    assert adapter.not_shown(key) is None
    assert presenter.accept(key, seen=SliceIndex(0, 3)) is None, "another slice was meant"

    following = presenter.accept(key)
    assert image.review.state(SliceIndex(0, 1)) is SliceState.ACCEPTED
    assert adapter.position(key) == following
    stage.wait(lambda: image.kept is not None)
    assert kept(image) == (1, ((0, 1),))
    presenter.go_to(key, SliceIndex(0, 1))
    presenter.accept(key)  # takes it back
    assert image.review.state(SliceIndex(0, 1)) is SliceState.SEEN
    stage.wait(lambda: kept(image) == (0, ()))
    presenter.accept(key)
    stage.undo()
    assert image.review.state(SliceIndex(0, 1)) is SliceState.SEEN
    assert adapter.position(key) == SliceIndex(0, 1)
    assert not presenter.undo_accept(key), "only what was accepted since the last stroke"
    presenter.accept(key)
    stage.wait(lambda: kept(image) == (1, ((0, 1),)))
    stage.session.lock(key, VENTRICLE)
    adapter.read_labels(key)
    assert image.locked == {VENTRICLE}


def kept(image: OpenImage) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return what the store has of an image: how many slices, and which."""
    (record,) = CorrectionStore.open(default_store()).records()
    assert image.kept.problem is None
    return image.kept.slices, record.places_seen


def run_again_and_undo(stage: Stage, image: OpenImage) -> np.ndarray:
    second = corner(image.volume.data.shape, 2)
    stage.paint(second, MYOCARDIUM)
    mine = stage.shown().copy()
    before = image.review.to_dict()
    stage.segment()
    assert stage.session.running is None, "it asks before it overwrites"
    assert np.array_equal(stage.shown(), mine)
    question = stage.reply("Keep the slice that you accepted")
    assert question.startswith("You accepted a slice and corrected a slice without accepting it.")
    kept = image.review.to_dict()
    assert kept["states"] == [[0, 1, "accepted"]]
    assert [row[:2] for row in kept["edits"]] == [[0, 1]]
    assert np.array_equal(stage.shown()[1], mine[1])
    assert not (stage.shown()[second] == MYOCARDIUM).any()

    stage.segment()
    stage.reply("Segment everything anew")
    assert image.review.to_dict()["states"] == []
    assert np.array_equal(stage.shown() == VENTRICLE, mine == VENTRICLE), "a locked label stays"
    assert np.array_equal(image.labels.data, stage.shown())
    for undone in (kept, before):
        stage.undo()
        assert image.review.to_dict() == undone
    assert np.array_equal(stage.shown(), mine)
    assert np.array_equal(image.labels.data, mine)
    for redone in (stage.redo, stage.undo):
        redone()
    assert image.review.to_dict() == before
    assert image.autosave.flush()
    return mine


def crash_and_restore(stage: Stage, mine: np.ndarray) -> OpenImage:
    (name,) = (one.safe_name for one in stage.session.images)
    stage.crash()
    assert len(unfinished()) == 1
    (work,) = find_unsaved(stage)
    assert work.picture.startswith(b"\x89PNG")
    assert unsaved_lines(work.journal)[0] in (name, "Image of 4 slices")
    assert work.journal.strokes > 1
    restoring = stage.presenter.unsaved.restore(work)
    with pytest.raises(Busy):
        stage.presenter.unsaved.restore(work)
    stage.wait(lambda: restoring.ended)
    assert find_unsaved(stage) == ()
    (image,) = (one for one in stage.session.images if one.labels is not None)
    assert np.array_equal(stage.shown(), mine)
    assert np.array_equal(image.labels.data, mine)
    assert image.locked == {VENTRICLE}
    assert unfinished() == [], "it is open again, here"
    return image


def find_unsaved(stage: Stage) -> tuple[UnsavedWork, ...]:
    found: list[UnsavedFound] = []
    end = stage.session.subscribe(
        lambda event: found.append(event) if isinstance(event, UnsavedFound) else None
    )
    stage.presenter.unsaved.find()
    stage.wait(lambda: found)
    end()
    return found[-1].works


def learn(stage: Stage, trainer: str) -> None:
    learning = Learning(stage.adapter.dispatch, executable=trainer)
    changes: list[int] = []
    learning.subscribe(lambda: changes.append(1))
    assert learning.available(DEFAULT_MODEL).slices == 1
    run = learning.train(FinetuneConfig(base=DEFAULT_MODEL, store=learning.store))
    stage.wait(lambda: run.state is State.DONE and len(changes) > 1)
    assert learning.keep_parent() == DEFAULT_MODEL
    learning.close()
