"""The journal of a background thread: in order, with reports of failures, removed when saved."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from napari_flomo.corrections import Journal, journals_folder, replay, unfinished
from napari_flomo.session import OpenImage, Session, SliceIndex
from napari_flomo.session.autosave import Autosave
from napari_flomo.session.editing import begin_autosave
from napari_flomo.volumes import Volume


@pytest.fixture
def image(session: Session, make_cine: Callable[..., Volume]) -> OpenImage:
    key = session.add(make_cine(), "cine")
    session.segment(key, "toy").result(60)
    return session.image(key)


def paint(image: OpenImage, autosave: Autosave, number: int, code: int = 2) -> None:
    """Paint a voxel of frame 1."""
    flat = image.labels.data.reshape(-1)
    at = np.array([np.ravel_multi_index((1, 2, 0, number), image.labels.data.shape)])
    autosave.record_change("stroke", at, flat[at], np.array([code]))
    flat[at] = code


def test_the_journal_has_all_records(image: OpenImage) -> None:
    received: list[str | None] = []
    before = image.labels.data.copy()
    image.confirmed.add(SliceIndex(0, 1))
    autosave = begin_autosave(image, before, received.append)
    assert not journals_folder().exists(), "nothing is written before there is something to write"
    autosave.close()
    autosave.finish()
    for number in range(20):
        paint(image, autosave, number)
    autosave.record_accepted(SliceIndex(1, 2))
    autosave.record_accepted(SliceIndex(0, 1), False)
    autosave.record_locked(3, True)
    assert autosave.flush()
    (folder,) = journals_folder().iterdir()
    found = replay(folder)
    assert np.array_equal(found.labels.data, image.labels.data)
    assert np.array_equal(found.proposed.data, before)
    assert (found.strokes, found.accepted, found.locked) == (20, {(1, 2)}, {3})
    assert found.about["model"] == "toy"
    assert found.image_hash == image.hash
    assert received == []
    autosave.finish()
    assert list(journals_folder().iterdir()) == []


def test_resume_locks_the_journal_and_close_offers_it_again(image: OpenImage) -> None:
    autosave = begin_autosave(image, image.labels.data.copy(), lambda _: None)
    paint(image, autosave, 1)
    autosave.close()
    (left,) = unfinished()
    autosave = Autosave.resume(Journal.open(left.folder), lambda _: None)
    assert unfinished() == [], "nobody else is offered it, from the first moment on"
    paint(image, autosave, 2)
    autosave.close()
    (left,) = unfinished()
    assert left.strokes == 2
    assert np.array_equal(replay(left.folder).labels.data, image.labels.data)


def test_failures_are_reported_once_and_retried(image: OpenImage) -> None:
    received: list[str | None] = []
    journals_folder().parent.mkdir(parents=True)
    journals_folder().write_text("no folder")
    autosave = begin_autosave(image, image.labels.data.copy(), received.append)
    for number in range(3):
        paint(image, autosave, number)
    assert autosave.flush()
    assert len(received) == 1
    assert "No journal can be kept" in str(received[0])
    journals_folder().unlink()
    paint(image, autosave, 3)
    autosave.close()
    assert received[1:] == [None]
    (left,) = unfinished()
    assert left.strokes == 4, "those from before are not lost"
    assert np.array_equal(replay(left.folder).labels.data, image.labels.data)


def test_the_brush_does_not_wait_for_a_slow_disk(image: OpenImage) -> None:
    go_on = threading.Event()
    real = begin_autosave(image, image.labels.data.copy(), lambda _: None)
    make = real._make

    def slow():  # type: ignore[no-untyped-def]
        assert go_on.wait(10)
        return make()

    autosave = Autosave(slow, lambda _: None)
    for number in range(5):
        paint(image, autosave, number)
    assert not autosave.flush(0.05)
    go_on.set()
    assert autosave.flush()
    autosave.close()
    assert unfinished()[0].strokes == 5
