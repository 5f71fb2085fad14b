"""What a run would overwrite, the question about it, what is kept, and undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import JobFailed
from napari_flomo.session import Scope, Session, SliceIndex, SliceState
from napari_flomo.session.messages import keep_title, overwrite_text
from napari_flomo.session.overwrite import Overwritten, consent, overwritten_by
from napari_flomo.volumes import Volume

Paint = Callable[..., None]
ACCEPTED = SliceState.ACCEPTED


def slices(*places: tuple[int, int]) -> frozenset[SliceIndex]:
    return frozenset(SliceIndex(*place) for place in places)


@pytest.fixture
def worked(session: Session, make_cine: Callable[..., Volume], paint: Paint) -> str:
    """A cine with an accepted slice, one that is corrected and accepted, and a corrected one."""
    key = session.add(make_cine(), "cine")
    image = session.image(key)
    assert not overwritten_by(image, Scope())
    session.segment(key, "toy").result(60)
    assert not overwritten_by(image, Scope())
    paint(session, key, np.s_[1, 2, :2, :2], 3)
    paint(session, key, np.s_[0, 1, :2, :2], 3)
    for place in ((2, 0), (1, 2)):
        session.go_to(key, SliceIndex(*place))
        session.accept(key)
    return key


def test_corrected_and_accepted_slices(session: Session, worked: str, paint: Paint) -> None:
    image = session.image(worked)
    found = overwritten_by(image, Scope())
    assert found == Overwritten(slices((2, 0), (1, 2)), slices((0, 1)))
    assert overwritten_by(image, Scope(frames=(2,))) == Overwritten(slices((2, 0)))
    assert overwritten_by(image, Scope(slices=(1,))).all == slices((0, 1))
    paint(session, worked, np.s_[0, 1, :2, :2], 0)  # as before the stroke
    assert overwritten_by(image, Scope(frames=(0,))) == Overwritten()


def test_accepted_slices_are_kept(session: Session, worked: str, paint: Paint) -> None:
    image = session.image(worked)
    mine, network = image.labels.data.copy(), image.segmentation
    found = overwritten_by(image, Scope())
    run = session.segment(worked, "toy", consented=consent(image, found.corrected))
    run.result(60)
    assert image.review.accepted == 2
    assert image.review.edits(SliceIndex(1, 2)) > 0
    assert image.confirmed == found.accepted
    np.testing.assert_array_equal(image.labels.data[1, 2], mine[1, 2])
    np.testing.assert_array_equal(image.labels.data[0, 1], network.labels.data[0, 1])
    assert image.review.edits(SliceIndex(0, 1)) == 0


def test_what_is_accepted_during_a_run_is_kept(session: Session, worked: str, paint: Paint) -> None:
    image = session.image(worked)
    run = session.segment(
        worked, "slow", consented=consent(image, overwritten_by(image, Scope()).all)
    )
    session.go_to(worked, SliceIndex(0, 0))
    session.accept(worked)
    paint(session, worked, np.s_[0, 1, 5:9, 5:9], 3)  # again, after the user agreed
    run.result(60)
    assert image.confirmed == slices((0, 0))
    assert (image.labels.data[0, 1, 5:9, 5:9] == 3).all()
    assert image.review.edits(SliceIndex(1, 2)) == 0


def test_a_smaller_part_is_segmented(session: Session, worked: str) -> None:
    image = session.image(worked)
    for number in range(3):
        session.go_to(worked, SliceIndex(1, number))
        session.accept(worked)
    run = session.segment(worked, "toy", consented={})
    assert run.scope == Scope(None, (0, 2))
    run.result(60)
    with pytest.raises(FlomoError, match="nothing is left"):
        session.segment(worked, "toy", scope=Scope(frames=(1,)), consented={})
    with pytest.raises(JobFailed, match="mean something else"):
        session.segment(worked, "swapped", consented={}).result(60)
    assert image.segmentation.card.name == "toy"


def test_undo_and_redo_restore_all(session: Session, worked: str, paint: Paint) -> None:
    """Labels, states, edits, order, model and what is kept, over several runs with strokes."""
    image = session.image(worked)
    seen: list[tuple[str, Any]] = []

    def state() -> tuple[Any, ...]:
        return (
            image.labels.data.tobytes(),
            image.review.to_dict(),
            image.review.order,
            image.segmentation.card.name,
            frozenset(image.confirmed),
            session.measures(worked),
        )

    for model in ("toy", "swapped", "toy"):
        seen.append((image.steps.current, state()))
        before = image.labels.data.copy()
        session.segment(worked, model).result(60)
        assert not image.confirmed
        assert not np.array_equal(image.labels.data, before)
        paint(session, worked, np.s_[2, 1, 3:6, 3:6], 2)
        session.go_to(worked, SliceIndex(2, 1))
        session.accept(worked)
    seen.append((image.steps.current, state()))

    def go(step: str, labels: bytes) -> None:
        new = np.frombuffer(labels, image.labels.data.dtype).reshape(image.labels.data.shape)
        indices = np.flatnonzero(image.labels.data != new)
        old = image.labels.data.flat[indices]
        session.edit(worked, indices, old, new.flat[indices], "undo", step=step)

    for step, wanted in [*seen[-2::-1], *seen[1:]]:
        go(step, wanted[0])
        assert state() == wanted

    # The viewer undid a stroke of the step as well: its slice is no longer accepted.
    step, wanted = seen[1]
    without = np.frombuffer(wanted[0], np.uint8).reshape(image.labels.data.shape).copy()
    without[2, 1, 3:6, 3:6] = 0
    go(step, without.tobytes())
    assert image.review.state(SliceIndex(2, 1)) is not ACCEPTED
    assert image.review.accepted == 0
    assert (image.labels.data[2, 1, 3:6, 3:6] == 0).all()


def test_texts() -> None:
    one, more = slices((0, 1)), slices((0, 2), (0, 3), (0, 4))
    text = overwrite_text(Overwritten(accepted=more, corrected=one), "Undo")
    assert text == (
        "You accepted 3 slices and corrected a slice without accepting it. "
        "What is not kept will be overwritten; Undo restores it."
    )
    assert keep_title(Overwritten(accepted=more, corrected=one)) == (
        "Keep the 3 slices that you accepted"
    )
    assert keep_title(Overwritten(corrected=one)) == "Keep the slice that you corrected"
    assert "labels of other mean something else" in overwrite_text(
        Overwritten(accepted=one), "Undo", "other"
    )


def test_the_scope_of_a_choice() -> None:
    here = SliceIndex(2, 5)
    assert Scope.of_choice("slice", here, 9) == Scope((5,), (2,))
    assert Scope.of_choice("stack", here, 9) == Scope(None, (2,))
    assert Scope.of_choice("all", here, 9) == Scope()
    assert Scope.of_choice("slice", SliceIndex(0, 5), 1) == Scope((5,))
    assert Scope.of_choice("stack", SliceIndex(0, 5), 1) == Scope()
