"""Accepted slices are stored as corrections, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Worker
from napari_flomo.session import (
    CorrectionKept,
    CorrectionWriter,
    Event,
    ReviewChanged,
    Scope,
    Session,
    SliceIndex,
)
from napari_flomo.session.activity import PAUSE_SECONDS, ActivityTimer
from napari_flomo.session.corrections_sync import find_earlier, patient_of
from napari_flomo.session.earlier_labels import EarlierLabels
from napari_flomo.session.messages import brought_back_text, other_structures_text
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
    assert writer.close()

    writer = CorrectionWriter(lambda: folder, **QUICK)
    session = Session(worker, writer=writer)
    key = segmented(session, volume)
    image = session.image(key)
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
    assert (found.labels.data[2, 1, 5, 5:9] == 3).all()
    assert (found.day, found.model) == (date.today(), "")

    session.segment(key, "swapped").result(60)  # the same structures with other codes
    found = find_earlier(image, folder, "reader")
    assert (found.labels.data[2, 1, 5, 5:9] == 2).all()
    assert found.model == "toy"
    card = image.segmentation.card
    image.segmentation = replace(image.segmentation, card=replace(card, labels=card.labels[:2]))
    found = find_earlier(image, folder, "reader")
    assert (len(found.slices), found.labels) == (2, None)


def search(session: Session, key: str) -> EarlierLabels | None:
    """Search for slices of an earlier day and bring them back, as a viewer does."""
    before = set(threading.enumerate())
    session.earlier.search(key)
    for thread in set(threading.enumerate()) - before:
        if thread.name == "flomo earlier":
            thread.join(10)
    return session.earlier.bring_back(key)


def test_earlier_slices_are_brought_back(
    worker: Worker, folder: Path, stored_cine: Volume, tmp_path: Path, paint: Callable[..., None]
) -> None:
    def opened(folder: Path, reader: str = "reader") -> tuple[Session, str, list[Event]]:
        received: list[Event] = []
        session = Session(worker, writer=CorrectionWriter(lambda: folder, reader=lambda: reader))
        key = session.add(stored_cine, "heart")
        session.segment(key, "toy", scope=Scope(frames=(0, 1))).result(60)
        session.subscribe(received.append)
        return session, key, received

    session, key, received = opened(folder)
    image, network = session.image(key), session.image(key).labels.data.copy()
    step = image.steps.current
    assert search(session, key).slices == {SliceIndex(0, 2)}
    session.segment(key, "toy", scope=Scope(frames=(2,))).result(60)
    assert image.confirmed == {SliceIndex(0, 2)}
    network[2] = image.labels.data[2]
    assert search(session, key).slices == {SliceIndex(2, 1)}, "only of what is new"
    assert search(session, key) is None
    assert isinstance(received[-1], ReviewChanged)
    assert image.review.accepted == 2
    assert image.brought_back == image.confirmed == {SliceIndex(0, 2), SliceIndex(2, 1)}
    changed = np.flatnonzero(image.labels.data != network)
    assert len(changed) == 4
    new = network.flat[changed]
    session.edit(key, changed, image.labels.data.flat[changed], new, "undo", step=step)
    assert image.review.accepted == 0
    assert image.reopened == set(), "the store keeps them"

    session, key, _ = opened(folder)
    paint(session, key, (0, 2, 3, 3), 3)
    assert search(session, key) is None, "what was painted today is left alone"
    assert search(*opened(folder, "another")[:2]) is None
    assert search(*opened(tmp_path / "none")[:2]) is None
    (folder / "store.json").write_text("{")
    session, key, received = opened(folder)
    assert search(session, key) is None
    assert "earlier cannot be read" in received[0].problem


def test_messages_about_an_earlier_day() -> None:
    places = frozenset({SliceIndex(0, 1), SliceIndex(0, 2), SliceIndex(0, 4)})
    labels = Volume.from_array(np.zeros((5, 4, 4), np.uint8))
    text = brought_back_text(EarlierLabels(places, labels, date(2020, 3, 12), "toy"), "Undo")
    assert text == (
        "3 slices that you accepted on 12 March 2020 are shown as you left them (toy proposed "
        "them); Undo restores the network's labels."
    )
    one = EarlierLabels(frozenset({SliceIndex(0, 1)}), None, date.today())
    assert other_structures_text(one).startswith(
        "1 slice that you accepted earlier today has other"
    )


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
