"""Learning within a study: what is sent, what changes, what stays, and undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import JobFailed
from napari_flomo.session import (
    Event,
    RunFailed,
    Session,
    SliceIndex,
    can_learn_study,
    messages,
)
from napari_flomo.volumes import Volume

Paint = Callable[..., None]


def accept(session: Session, key: str, *places: tuple[int, int]) -> None:
    for place in places:
        session.go_to(key, SliceIndex(*place))
        session.accept(key)


@pytest.fixture
def segmented(session: Session, make_cine: Callable[..., Volume]) -> str:
    key = session.add(make_cine(), "cine")
    session.segment(key, "toy").result(60)
    return key


def test_suggests_only_where_nobody_worked(session: Session, segmented: str, paint: Paint) -> None:
    image = session.image(segmented)
    with pytest.raises(FlomoError, match="Accept at least 2 slices first; 0 accepted so far"):
        session.learn_study(segmented)
    paint(session, segmented, np.s_[0, 1, :3, :3], 3)
    accept(session, segmented, (0, 1))
    assert not can_learn_study(image)
    accept(session, segmented, (1, 2))
    assert can_learn_study(image)
    paint(session, segmented, np.s_[2, 0, :2, :2], 3)  # corrected, not accepted
    mine, model, order = image.labels.data.copy(), image.model, set(image.review.order)
    step = image.steps.current
    worked = {(0, 1), (1, 2), (2, 0)}

    run = session.learn_study(segmented)
    assert messages.run_name(run, "cine") == "Learning from cine"
    run.result(60)
    for index in image.review.order:
        now, before = image.labels.data[index], mine[index]
        expected = before if index in worked else np.where(before > 0, 2, before)
        assert np.array_equal(now, expected), index
        assert image.review.is_accepted(index) == (index in {(0, 1), (1, 2)})
    assert image.model == model
    assert set(image.review.order) == order
    assert image.review.edits(SliceIndex(2, 0)) > 0
    assert image.steps.left(step) is not None, "one step of undo"


def test_locks_and_strokes_meanwhile(session: Session, segmented: str, paint: Paint) -> None:
    image = session.image(segmented)
    paint(session, segmented, np.s_[0, 1, :3, :3], 3)
    accept(session, segmented, (0, 1), (1, 2))
    session.lock(segmented, 3)
    ventricle = image.labels.data == 3
    run = session.learn_study(segmented)
    paint(session, segmented, np.s_[2, 2, :2, :2], 2)
    drawn = image.labels.data[2, 2].copy()
    run.result(60)
    assert np.array_equal(image.labels.data == 3, ventricle)
    assert np.array_equal(image.labels.data[2, 2], drawn), "a stroke during the run stays"


def test_nothing_learnt(
    session: Session, segmented: str, paint: Paint, events: list[Event]
) -> None:
    image = session.image(segmented)
    paint(session, segmented, np.s_[:2], 0)
    accept(session, segmented, (0, 1), (1, 2))
    before = image.labels.data.copy()
    with pytest.raises(JobFailed, match="Nothing was learnt"):
        session.learn_study(segmented).result(60)
    assert np.array_equal(image.labels.data, before)
    (failed,) = (one for one in events if isinstance(one, RunFailed))
    message = messages.problem_message(failed.problem, lambda: None, segmented)
    assert (message.level, message.details) == ("info", "")


def test_nothing_left(session: Session, segmented: str) -> None:
    review: Any = session.image(segmented).review
    accept(session, segmented, *review.order)
    with pytest.raises(FlomoError, match="none left to suggest labels for"):
        session.learn_study(segmented)
