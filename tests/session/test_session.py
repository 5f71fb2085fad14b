"""A session with a real child process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import JobFailed, State, Worker
from napari_flomo.session import (
    Event,
    ImageAdded,
    ImageRemoved,
    ImageRenamed,
    LabelsChanged,
    LocksChanged,
    ReviewChanged,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunQueued,
    RunStarted,
    Scope,
    Session,
    SliceIndex,
    SliceState,
)
from napari_flomo.volumes import Volume

PATIENT = 60
Make = Callable[..., Volume]
Paint = Callable[..., None]


def expected(volume: Volume) -> np.ndarray:
    """What the network of the tiny child says."""
    return np.where(volume.data > 150, 3, np.where(volume.data > 80, 2, 0))


def under_way(session: Session, key: str, **options: Any) -> Any:
    """Start a slow run and wait until it is at its first slice."""
    run = session.segment(key, "slow", **options)
    end = time.monotonic() + PATIENT
    while run.progress.done < 1:
        assert time.monotonic() < end
        time.sleep(0.005)
    return run


def test_segment(session: Session, events: list[Event], make_heart: Make) -> None:
    volume = make_heart(slices=4)
    key = session.add(volume, "heart")
    run = session.segment(key, "toy", device="cpu")
    proposed = run.result(PATIENT)
    image = session.image(key)
    assert np.array_equal(image.labels.data, expected(volume))
    assert image.labels.geometry == volume.geometry
    assert image.segmentation.labels.data is not image.labels.data  # painting keeps the proposal
    assert np.array_equal(proposed.labels.data, image.labels.data)
    assert len(image.review.order) == 4
    assert run.state is State.DONE
    assert session.running is None
    kinds = [type(event) for event in events if type(event) is not RunProgressed]
    assert kinds == [ImageAdded, RunStarted, RunFinished]
    assert any(type(event) is RunProgressed and event.progress.total == 4 for event in events)


def test_mirrored_views(session: Session, make_heart: Make) -> None:
    key = session.add(make_heart(slices=2), "heart")
    assert session.segment(key, "toy").result(PATIENT).manifest["views"] == "plain"
    assert (
        session.segment(key, "toy", mirrored=True).result(PATIENT).manifest["views"] == "mirrored"
    )
    # The entropy is that of the labels; other maps have views of their own.
    assert session.uncertainty(key).result(PATIENT).manifest["views"] == "mirrored"
    assert session.uncertainty(key, maps=["variance"]).result(PATIENT).manifest["views"] == "plain"


def test_partial_runs_add_up(session: Session, make_cine: Make, paint: Paint) -> None:
    volume = make_cine()
    key = session.add(volume, "cine")
    image = session.image(key)
    session.segment(key, "toy", scope=Scope(slices=(1,), frames=(2,))).result(PATIENT)
    assert image.labels.data[2, 1].any()
    assert np.count_nonzero(image.labels.data) == np.count_nonzero(image.labels.data[2, 1])
    assert image.review.order == (SliceIndex(2, 1),)
    assert not session.measures(key).complete

    paint(session, key, (2, 1), 3)
    session.segment(key, "toy", scope=Scope(frames=(0,))).result(PATIENT)
    assert (image.labels.data[2, 1] == 3).all()
    assert np.array_equal(image.labels.data[0], expected(volume)[0])
    assert np.array_equal(image.segmentation.labels.data[2, 1], expected(volume)[2, 1])
    assert np.isfinite(image.segmentation.slice_scores).sum() == 4
    changed = (expected(volume)[2, 1] != 3).sum()
    assert image.review.edits(SliceIndex(2, 1)) == changed

    session.segment(key, "toy").result(PATIENT)
    assert np.array_equal(image.labels.data, expected(volume))
    assert image.review.edits(SliceIndex(2, 1)) == 0  # it starts over


def test_locked_labels_stay(session: Session, events: list[Event], make_heart: Make) -> None:
    volume = make_heart()
    key = session.add(volume, "heart")
    session.segment(key, "toy").result(PATIENT)
    image = session.image(key)
    image.labels.data[0] = 0
    image.labels.data[0, :5, :5] = 3
    before = image.labels.data == 3
    session.lock(key, 3)
    session.segment(key, "toy").result(PATIENT)
    assert np.array_equal(image.labels.data == 3, before)
    assert np.array_equal(image.labels.data[0] == 2, expected(volume)[0] == 2)
    session.lock(key, 3, False)
    session.segment(key, "toy").result(PATIENT)
    assert np.array_equal(image.labels.data, expected(volume))
    assert [event.locked for event in events if isinstance(event, LocksChanged)] == [{3}, set()]


def test_labels_of_another_meaning_are_not_mixed(session: Session, make_heart: Make) -> None:
    key = session.add(make_heart(), "heart")
    session.segment(key, "toy").result(PATIENT)
    image = session.image(key)
    before = image.labels
    with pytest.raises(JobFailed, match="mean something else than those of toy"):
        session.segment(key, "swapped", scope=Scope(slices=(0,))).result(PATIENT)
    session.lock(key, 3)
    with pytest.raises(JobFailed, match="unlock them first"):
        session.segment(key, "swapped").result(PATIENT)
    assert image.labels is before
    session.lock(key, 3, False)
    session.segment(key, "swapped").result(PATIENT)
    assert image.segmentation.card.name == "swapped"
    # The bundled model's card is known without a run, so it is refused at once.
    with pytest.raises(FlomoError, match="mean something else than those of swapped"):
        session.segment(key, "flomo-b0-acdc", scope=Scope(slices=(0,)))


def test_runs_wait_for_each_other(session: Session, events: list[Event], make_heart: Make) -> None:
    one, two, three = (session.add(make_heart(slices=n), str(n)) for n in (100, 3, 2))
    first = under_way(session, one)
    waiting = [session.segment(key, "toy") for key in (two, three, one)]
    waiting.append(session.pull("toy"))
    assert session.runs == (first, *waiting)
    assert [event.run for event in events if isinstance(event, RunQueued)] == waiting
    with pytest.raises(FlomoError, match="There is no slice"):
        session.segment(two, "toy", scope=Scope(slices=(9,)))

    start = time.monotonic()
    waiting[3].cancel()
    assert waiting[3].state is State.CANCELLED
    session.remove(three)
    with pytest.raises(Cancelled):
        waiting[1].result(PATIENT)
    assert time.monotonic() - start < 1
    assert session.runs == (first, waiting[0], waiting[2])
    first.cancel()
    for run in (waiting[0], waiting[2]):
        run.result(PATIENT)
    assert session.runs == ()
    ends = [event.run for event in events if isinstance(event, RunCancelled | RunFinished)]
    assert ends == [waiting[3], waiting[1], first, waiting[0], waiting[2]]


def test_a_run_that_cannot_start_fails_and_the_next_starts(
    session: Session, events: list[Event], make_heart: Make
) -> None:
    one, two = session.add(make_heart(slices=100), "one"), session.add(make_heart(), "two")
    first = under_way(session, one)
    broken = session.segment(two, "toy")
    broken.options = {"mirrored": {1, 2}}  # not JSON
    last = session.segment(two, "toy")
    first.cancel()
    with pytest.raises(JobFailed):
        broken.result(PATIENT)
    last.result(PATIENT)
    assert session.image(two).labels is not None


def test_cancel_changes_nothing(session: Session, events: list[Event], make_heart: Make) -> None:
    key = session.add(make_heart(slices=30), "heart")
    session.segment(key, "toy", scope=Scope(slices=(3,))).result(PATIENT)
    image = session.image(key)
    before = image.labels, image.segmentation, image.review, image.counts
    run = under_way(session, key)
    start = time.monotonic()
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(PATIENT)
    assert time.monotonic() - start < 1.0
    assert (image.labels, image.segmentation, image.review, image.counts) == before
    assert isinstance(events[-1], RunCancelled)


def test_images_come_and_go_during_a_run(
    session: Session, events: list[Event], make_heart: Make
) -> None:
    """The result is merged with its own image, whatever its name and the other images."""
    first = session.add(make_heart(slices=10, seed=1), "a")
    run = under_way(session, first)
    second = session.add(make_heart(slices=10, seed=2), "b")
    session.rename(first, "b")
    session.rename(second, "a")
    run.result(PATIENT)
    assert session.image(second).labels is None
    assert np.array_equal(session.image(first).labels.data, expected(session.image(first).volume))
    assert [event.name for event in events if isinstance(event, ImageRenamed)] == ["b", "a"]

    run = under_way(session, second)
    session.remove(second)
    third = session.add(make_heart(slices=10, seed=3), "b")
    assert third not in (first, second)
    with pytest.raises(Cancelled):
        run.result(PATIENT)
    assert session.image(third).labels is None
    assert [image.key for image in session.images] == [first, third]
    assert isinstance(events[-1], RunCancelled)
    assert ImageRemoved(second) in events
    with pytest.raises(FlomoError, match="no longer open"):
        session.segment(second, "toy")


def test_an_image_closed_before_its_result_is_merged(worker: Worker, make_heart: Make) -> None:
    """The child is done, the result is not merged yet, and the user closes the image."""
    waiting: queue.Queue[Callable[[], None]] = queue.Queue()
    session = Session(worker, waiting.put)
    key = session.add(make_heart(), "heart")
    received: list[Event] = []
    session.subscribe(received.append)
    run = session.segment(key, "toy")
    held = []
    while worker.job is not None:
        held.append(waiting.get(timeout=PATIENT))
    session.remove(key)
    for action in held:
        action()
    while run.state is not State.CANCELLED:
        waiting.get(timeout=PATIENT)()
    assert not any(isinstance(event, RunFinished) for event in received)


def test_events_arrive_in_the_thread_of_the_viewer(worker: Worker, make_heart: Make) -> None:
    waiting: queue.Queue[Callable[[], None]] = queue.Queue()
    session = Session(worker, waiting.put)
    threads = set()
    session.subscribe(lambda event: threads.add(threading.get_ident()))
    key = session.add(make_heart(), "heart")
    run = session.segment(key, "toy")
    while session.running is not None:
        assert session.image(key).labels is None
        waiting.get(timeout=PATIENT)()
    assert run.state is State.DONE
    assert session.image(key).labels is not None
    assert threads == {threading.get_ident()}


def test_a_stroke_while_a_result_is_merged(worker: Worker, make_heart: Make, paint: Paint) -> None:
    """Strokes during a merge are kept, and the result is merged."""
    waiting: queue.Queue[Callable[[], None]] = queue.Queue()
    session = Session(worker, waiting.put)

    def finish(run: Any) -> int:
        """Do what waits, and paint one voxel just before each of the first two merges is put."""
        painted = 0
        while session.running is not None:
            action = waiting.get(timeout=PATIENT)
            merging = worker.job is None and image.labels is not None and painted < 2
            if merging:
                paint(session, key, (0, 0, painted), 2)
                painted += 1
            action()
        assert run.state is State.DONE
        return painted

    key = session.add(make_heart(slices=3), "heart")
    image = session.image(key)
    finish(session.segment(key, "toy"))
    image.labels.data[1] = 0
    assert finish(session.segment(key, "toy", scope=Scope(slices=(1,)))) == 2
    assert image.labels.data[0, 0, :3].tolist() == [2, 2, 0]
    assert np.array_equal(image.labels.data[1], expected(image.volume)[1])
    assert image.counts.voxels(2, 0) == (image.labels.data == 2).sum()


def test_uncertainty_maps_alone(session: Session, events: list[Event], make_cine: Make) -> None:
    key = session.add(make_cine(), "cine")
    with pytest.raises(FlomoError, match="segment it first"):
        session.uncertainty(key)
    session.segment(key, "toy", scope=Scope(frames=(1,))).result(PATIENT)
    image = session.image(key)
    session.next_slice(key)
    session.accept(key)
    image.labels.data[1, 1] = 3
    before = image.labels.data.copy(), image.review.to_dict(), image.segmentation.slice_scores
    run = session.uncertainty(key, maps=["mutual_information"])
    run.result(PATIENT)
    assert run.only_maps
    assert isinstance(events[-1], RunFinished)
    assert set(image.segmentation.uncertainty) == {"entropy", "mutual_information"}
    second = image.segmentation.uncertainty["mutual_information"].data
    assert second[1].any()
    assert not second[[0, 2]].any(), "only where it was segmented"
    assert np.array_equal(image.labels.data, before[0])
    assert image.review.to_dict() == before[1]
    assert image.segmentation.slice_scores is before[2]
    with pytest.raises(JobFailed, match="not that of toy"):
        session.uncertainty(key, model="swapped").result(PATIENT)


def test_failures(session: Session, events: list[Event], make_heart: Make) -> None:
    key = session.add(make_heart(), "heart")
    with pytest.raises(JobFailed, match="no such model"):
        session.segment(key, "gone").result(PATIENT)
    assert events[-1].problem.kind == "missing_model"
    with pytest.raises(JobFailed, match="choose the device cpu"):
        session.segment(key, "gpu").result(PATIENT)
    assert isinstance(events[-1], RunFailed)
    assert events[-1].problem.kind == "out_of_gpu_memory"
    assert "CUDA out of memory" in events[-1].problem.details
    run = events[-1].run  # what a viewer offers then
    session.segment(run.key, run.model, "cpu", run.scope).result(PATIENT)
    for scope in (Scope(slices=(3,)), Scope(frames=(1,)), Scope(slices=())):
        with pytest.raises(FlomoError, match=r"There is no|No slice"):
            session.segment(key, "toy", scope=scope)
    assert session.running is None


def test_measures_follow_the_brush(
    session: Session, events: list[Event], make_cine: Make, paint: Paint
) -> None:
    key = session.add(make_cine(), "cine")
    assert session.measures(key) is None
    session.segment(key, "toy").result(PATIENT)
    heart = session.measures(key)
    assert (heart.phases.left.ed, heart.phases.left.es, heart.complete) == (1, 2, True)
    image = session.image(key)
    voxel = np.prod(image.volume.geometry.spacing) / 1000
    count = [(image.labels.data[frame] == 3).sum() for frame in (1, 2)]
    assert heart.left.edv_ml == pytest.approx(count[0] * voxel)
    assert heart.left.ef_percent == pytest.approx(100 * (count[0] - count[1]) / count[0])
    paint(session, key, (2, 1), 3)
    assert events[-1] == LabelsChanged(key, 2, 1)
    assert session.measures(key).phases == heart.phases, "the phases stay"
    assert session.measures(key).left.esv_ml > heart.left.edv_ml
    session.set_labels(key, np.zeros_like(image.labels.data))
    assert session.measures(key).left.ef_percent is None
    with pytest.raises(FlomoError, match="do not lie on the grid of cine"):
        session.set_labels(key, np.zeros((3, 3, 3), np.uint8))


def test_review_walk(session: Session, events: list[Event], make_heart: Make) -> None:
    key = session.add(make_heart(slices=3), "heart")
    with pytest.raises(FlomoError, match="nothing to review yet"):
        session.next_slice(key)
    session.segment(key, "toy").result(PATIENT)
    order = session.image(key).review.order
    assert session.next_slice(key) == order[0]
    assert session.accept(key) == order[1]
    assert session.previous_slice(key) == order[0]
    assert session.go_to(key, order[2]) == order[2]
    assert session.image(key).review.state(order[0]) is SliceState.ACCEPTED
    assert events[-1] == ReviewChanged(key)


def test_a_failing_observer_does_not_stop_the_others(session: Session) -> None:
    received: list[Event] = []

    def fail(_: Event) -> None:
        raise RuntimeError("no")

    session.subscribe(fail)
    leave = session.subscribe(received.append)
    key = session.add(Volume.from_array(np.zeros((4, 4))), "a")
    leave()
    leave()
    session.remove(key)
    assert received == [ImageAdded(key)]
