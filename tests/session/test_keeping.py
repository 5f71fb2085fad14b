"""Accepted slices are stored as corrections, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Worker
from napari_flomo.session import (
    CorrectionKept,
    CorrectionWriter,
    EarlierFound,
    Event,
    OpenImage,
    ReviewChanged,
    Session,
    SliceIndex,
    SliceState,
)
from napari_flomo.session.activity import PAUSE_SECONDS, ActivityTimer
from napari_flomo.session.corrections_sync import find_earlier, patient_of
from napari_flomo.session.review_actions import confirm
from napari_flomo.volumes import Volume

Make = Callable[..., Volume]
QUICK = {"settle_seconds": 0.0, "retry_seconds": 0.05}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def writer(folder: Path) -> Iterator[CorrectionWriter]:
    writer = CorrectionWriter(lambda: folder, software={"napari": "0.9.2"}, **QUICK)
    yield writer
    writer.close()


@pytest.fixture
def session(worker: Worker, writer: CorrectionWriter) -> Session:
    """A session that keeps what is accepted; the worker belongs to the module."""
    return Session(worker, writer=writer)


def segmented(session: Session, volume: Volume, name: str = "heart") -> str:
    key = session.add(volume, name)
    session.segment(key, "toy").result(60)
    return key


def accept(session: Session, key: str, place: SliceIndex) -> None:
    session.go_to(key, place)
    session.accept(key)


def the_record(folder: Path):
    store = CorrectionStore.open(folder)
    assert store.verify() == []
    (record,) = store.records()
    return store, record


def test_an_accepted_slice_is_stored(
    session: Session,
    writer: CorrectionWriter,
    folder: Path,
    make_heart: Make,
    paint: Callable[..., None],
) -> None:
    volume = make_heart(slices=3)
    key = segmented(session, volume)
    image = session.image(key)
    session.go_to(key, SliceIndex(0, 0))  # seen and painted, but not accepted
    paint(session, key, (0, 5, 5), 2)
    assert not folder.exists(), "seen and painted slices are not stored"
    paint(session, key, np.s_[1, 7:9, 7], 3)
    accept(session, key, SliceIndex(0, 1))
    assert writer.flush()
    store, record = the_record(folder)
    assert record.places_seen == ((0, 1),)
    assert (record.state, record.reader, record.revision) == ("accepted", "reader", 1)
    assert record.codes == {2: "left ventricular myocardium", 3: "left ventricle"}
    assert record.model.name == "toy"
    assert record.model.card_sha256 == image.segmentation.card.card_hash
    assert record.software["napari"] == "0.9.2"
    assert record.image.sha256 == image.hash
    kept = store.read(record.id)
    np.testing.assert_array_equal(kept.image.data, volume.data)
    np.testing.assert_array_equal(kept.corrected.data, image.labels.data)
    np.testing.assert_array_equal(kept.proposed.data, image.segmentation.labels.data)
    assert kept.corrected.geometry.same_space(volume.geometry)

    accept(session, key, SliceIndex(0, 2))
    assert writer.flush()
    assert the_record(folder)[1].places_seen == ((0, 1), (0, 2))


def test_failures_are_reported_and_retried(
    worker: Worker, folder: Path, make_heart: Make, tmp_path: Path
) -> None:
    """A failure is reported in a sentence and retried; the success is reported, too."""
    target = [tmp_path / "no" / "such" / "place"]
    (tmp_path / "no").write_text("a file where a folder should be")
    writer = CorrectionWriter(lambda: target[0], **QUICK)
    session = Session(worker, writer=writer)
    key = segmented(session, make_heart())
    received: list[Event] = []
    failed, done = threading.Event(), threading.Event()

    def note(event: Event) -> None:
        if isinstance(event, CorrectionKept):
            received.append(event)
            (failed if event.problem else done).set()

    session.subscribe(note)
    accept(session, key, SliceIndex(0, 1))
    assert failed.wait(10)
    assert received[0].slices == 0
    assert "choose another folder" in received[0].problem
    assert not writer.flush(0.01)
    assert writer.waiting == 1
    target[0] = folder
    assert done.wait(10)
    assert received[-1] == CorrectionKept(key, 1)
    assert the_record(folder)[1].places_seen == ((0, 1),)
    assert writer.close()


def test_close_writes_the_rest(worker: Worker, folder: Path, make_heart: Make) -> None:
    writer = CorrectionWriter(lambda: folder, settle_seconds=60, retry_seconds=60)
    session = Session(worker, writer=writer)
    key = segmented(session, make_heart())
    accept(session, key, SliceIndex(0, 1))
    assert not writer.flush(0.05)
    assert writer.close()
    assert the_record(folder)[1].places_seen == ((0, 1),)
    accept(session, key, SliceIndex(0, 2))  # too late, and no harm


def test_reopened_slices_are_not_stored(
    session: Session, writer: CorrectionWriter, folder: Path, make_heart: Make
) -> None:
    key = segmented(session, make_heart())
    accept(session, key, SliceIndex(0, 0))
    accept(session, key, SliceIndex(0, 1))
    assert writer.flush()
    assert session.reopen(key, SliceIndex(0, 1))
    assert not session.reopen(key, SliceIndex(0, 1))
    assert writer.flush()
    assert the_record(folder)[1].places_seen == ((0, 0),)
    session.reopen(key, SliceIndex(0, 0))
    assert writer.flush()
    record = the_record(folder)[1]
    assert (record.places_seen, record.state) == ((), "draft")
    accept(session, key, SliceIndex(0, 1))
    assert writer.flush()
    record = the_record(folder)[1]
    assert (record.places_seen, record.state) == (((0, 1),), "accepted")


def test_slices_accepted_earlier_keep_their_labels(
    worker: Worker, folder: Path, make_heart: Make
) -> None:
    """The labels of a slice that was accepted earlier stay those of that day."""
    volume = make_heart()
    writer = CorrectionWriter(lambda: folder, **QUICK)
    session = Session(worker, writer=writer)
    key = segmented(session, volume)
    session.image(key).labels.data[1, 5, 5:9] = 3
    accept(session, key, SliceIndex(0, 1))
    remembered = session.image(key).review.to_dict()
    assert writer.close()

    writer = CorrectionWriter(lambda: folder, **QUICK)
    session = Session(worker, writer=writer)
    key = segmented(session, volume)
    image = session.image(key)
    image.review.restore(remembered)
    assert image.labels.data[1, 5, 5] == 0, "today it shows what the network found"
    accept(session, key, SliceIndex(0, 2))
    assert writer.flush()
    store, record = the_record(folder)
    assert record.places_seen == ((0, 1), (0, 2))
    kept = store.read(record.id).corrected.data
    assert (kept[1, 5, 5:9] == 3).all()
    np.testing.assert_array_equal(kept[2], image.labels.data[2])

    session.reopen(key, SliceIndex(0, 1))  # as a stroke does
    accept(session, key, SliceIndex(0, 1))
    assert writer.close()
    store, record = the_record(folder)
    assert record.places_seen == ((0, 1), (0, 2))
    np.testing.assert_array_equal(store.read(record.id).corrected.data, image.labels.data)


@pytest.fixture
def stored_cine(worker: Worker, folder: Path, make_cine: Make) -> Volume:
    """A cine of which two slices were accepted on an earlier day, one of them corrected."""
    volume = make_cine()
    writer = CorrectionWriter(lambda: folder, **QUICK)
    session = Session(worker, writer=writer)
    key = segmented(session, volume)
    assert find_earlier(session.image(key), folder, "reader") is None
    session.image(key).labels.data[2, 1, 5, 5:9] = 3
    accept(session, key, SliceIndex(2, 1))
    accept(session, key, SliceIndex(0, 2))
    assert writer.close()
    return volume


def test_find_earlier_corrections(worker: Worker, folder: Path, stored_cine: Volume) -> None:
    session = Session(worker)
    key = segmented(session, stored_cine)
    image = session.image(key)
    assert find_earlier(image, folder, "another") is None
    found = find_earlier(image, folder, "reader")
    assert found.slices == {SliceIndex(2, 1), SliceIndex(0, 2)}
    assert found.differing(image.labels) == {SliceIndex(2, 1)}
    back = found.over(image.labels)
    assert (back.data[2, 1, 5, 5:9] == 3).all()
    assert (back.data != image.labels.data).sum() == 4
    confirm(image, found.slices)
    assert image.confirmed == found.slices
    assert image.review.accepted == 2


def test_earlier_corrections_are_offered(
    worker: Worker, folder: Path, stored_cine: Volume, tmp_path: Path
) -> None:
    def recalled(folder: Path, reader: str = "reader") -> tuple[OpenImage, list[Event]]:
        received: list[Event] = []
        session = Session(worker, writer=CorrectionWriter(lambda: folder, reader=lambda: reader))
        key = segmented(session, stored_cine)
        session.subscribe(received.append)
        session.recall(key)
        for thread in threading.enumerate():
            if thread.name == "flomo earlier":
                thread.join(10)
        return session.image(key), received

    image, received = recalled(folder)
    review, found = received
    assert isinstance(review, ReviewChanged)
    assert isinstance(found, EarlierFound)
    assert found.earlier.slices == {SliceIndex(2, 1)}, "what is the same needs no question"
    assert image.review.state(SliceIndex(0, 2)) is SliceState.ACCEPTED
    assert image.review.state(SliceIndex(2, 1)) is not SliceState.ACCEPTED
    assert recalled(folder, "another")[1] == []
    assert recalled(tmp_path / "none")[1] == []
    (folder / "store.json").write_text("{")
    _, received = recalled(folder)
    assert received[-1].earlier is None
    assert "earlier cannot be read" in received[-1].problem


def test_another_run_does_not_change_what_was_accepted(
    session: Session, writer: CorrectionWriter, folder: Path, make_heart: Make
) -> None:
    key = segmented(session, make_heart())
    image = session.image(key)
    image.labels.data[1, 5, 5:9] = 3
    accept(session, key, SliceIndex(0, 1))
    session.segment(key, "toy").result(60)
    assert image.confirmed == set()
    accept(session, key, SliceIndex(0, 2))
    assert writer.flush()
    store, record = the_record(folder)
    assert record.places_seen == ((0, 1), (0, 2))
    assert (store.read(record.id).corrected.data[1, 5, 5:9] == 3).all()


def test_a_cine(session: Session, writer: CorrectionWriter, folder: Path, make_cine: Make) -> None:
    key = segmented(session, make_cine())
    image = session.image(key)
    image.labels.data[2, 1, 3, 3] = 3
    accept(session, key, SliceIndex(2, 1))
    image.labels.data[0, 1, 3, 3] = 3
    assert writer.flush()
    store, record = the_record(folder)
    assert record.places_seen == ((2, 1),)
    kept = store.read(record.id).corrected
    assert kept.data.shape == image.labels.data.shape
    assert kept.data[2, 1, 3, 3] == 3


def test_time_is_counted_without_pauses() -> None:
    now = [100.0]
    watch = ActivityTimer(lambda: now[0])
    for step in (0, 3, 5, 10_000, -50):
        now[0] += step
        watch.tick()
    assert watch.seconds == 8 + PAUSE_SECONDS


def test_time_adds_up_over_days(worker: Worker, folder: Path, make_heart: Make) -> None:
    volume = make_heart()
    for place, seconds in ((SliceIndex(0, 1), 40.0), (SliceIndex(0, 2), 25.0)):
        writer = CorrectionWriter(lambda: folder, **QUICK)
        session = Session(worker, writer=writer)
        key = segmented(session, volume)
        session.image(key).activity.seconds = seconds
        accept(session, key, place)
        assert writer.flush()
        session.reopen(key, place)
        accept(session, key, place)
        assert writer.close()
    assert the_record(folder)[1].seconds == 65


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("patient042_frame01", "patient042"),
        ("sub-017_ses-1_cine", "sub-017"),
        ("ED of Case_7", "case_7"),
        ("sunnybrook_ed", ""),
        ("heart", ""),
        ("subaortic", ""),
    ],
)
def test_patient_in_the_name_of_an_image(name: str, patient: str) -> None:
    assert patient_of(name) == patient


def test_images_of_a_patient_stay_together(
    session: Session, writer: CorrectionWriter, folder: Path, make_heart: Make
) -> None:
    from dataclasses import replace

    for number, name in enumerate(
        ("patient042_frame01", "patient042_frame12", "patient043_frame01")
    ):
        volume = replace(make_heart(seed=number), source=name)
        accept(session, segmented(session, volume, "renamed"), SliceIndex(0, 1))
    assert writer.flush()
    groups = [record.group for record in CorrectionStore.open(folder).records()]
    assert groups[0] == groups[1] != groups[2]
    everything = "".join(path.read_text() for path in folder.rglob("*.json"))
    assert "patient" not in everything


def test_an_image_without_labels_is_refused(
    session: Session, writer: CorrectionWriter, make_heart: Make
) -> None:
    key = session.add(make_heart(), "heart")
    with pytest.raises(FlomoError, match="segment it first"):
        writer.keep(session.image(key))
