"""Which slices of a cine are reviewed, and in which order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_flomo.session import (
    COLUMNS,
    Column,
    QueueFilter,
    Review,
    Scope,
    Session,
    SliceIndex,
    listed,
)
from napari_flomo.session.review_queue import progress_of
from napari_flomo.volumes import Volume

Make = Callable[..., Volume]
DIASTOLE = [SliceIndex(1, number) for number in range(3)]
SYSTOLE = [SliceIndex(2, number) for number in range(3)]


@pytest.fixture
def key(session: Session, make_cine: Make) -> str:
    """A segmented cine of three frames; the heart is largest in frame 1 and smallest in 2."""
    key = session.add(make_cine(), "cine")
    session.segment(key, "toy").result(60)
    return key


def test_end_diastole_and_end_systole_slice_by_slice(session: Session, key: str) -> None:
    image = session.image(key)
    assert list(listed(image)) == [*DIASTOLE, *SYSTOLE]
    assert session.next_slice(key) == DIASTOLE[0]
    assert session.accept(key) == DIASTOLE[1]
    assert session.previous_slice(key) == DIASTOLE[0]
    assert session.previous_slice(key) is None, "the first"
    for _ in range(5):
        session.accept(key)
        session.next_slice(key)
    assert session.accept(key) is None, "the other frame is not visited"
    assert progress_of(image) == (6, 6)
    assert not image.review.finished
    session.go_to(key, SliceIndex(0, 1))
    session.reopen(key, SYSTOLE[1])
    assert session.next_slice(key) == SYSTOLE[1], "also from a slice that is not listed"


def test_pinned_frames_are_listed(session: Session, key: str) -> None:
    session.phases.pin(key, "ES", 0, ["right"])
    frames = [index.frame for index in listed(session.image(key))]
    assert frames == [1, 1, 1, 2, 2, 2, 0, 0, 0]


def test_filters(session: Session, key: str, paint: Callable[..., None]) -> None:
    image = session.image(key)
    session.set_queue(key, QueueFilter("all"))
    assert listed(image) == image.review.order
    session.next_slice(key)
    session.accept(key)
    session.set_queue(key, QueueFilter("all", "open"))
    assert listed(image) == image.review.order[1:]
    assert session.next_slice(key) == image.review.order[2], "the walk goes on where it was"
    paint(session, key, (2, 1), 2)
    session.set_queue(key, QueueFilter(structure=3))
    assert list(listed(image)) == [*DIASTOLE, SYSTOLE[0], SYSTOLE[2]]


@pytest.mark.parametrize("column", COLUMNS)
def test_sorted_by_any_column(
    session: Session, key: str, paint: Callable[..., None], column: Column
) -> None:
    image = session.image(key)
    image.review = Review(np.arange(9).reshape(3, 3))  # the small network is as sure everywhere
    session.go_to(key, DIASTOLE[2])
    session.accept(key)
    paint(session, key, (2, 1), 2)
    session.set_queue(key, QueueFilter("all"))
    values = {
        "slice": lambda index: (index.slice, index.frame),
        "uncertainty": lambda index: -image.review.score(index),
        "state": lambda index: ["open", "seen", "accepted"].index(image.review.state(index)),
        "edits": lambda index: -image.review.edits(index),
    }
    wanted = [values[column](index) for index in listed(image)]
    shown = []
    for _click in range(3):
        session.set_queue(key, image.queue.sorted_by(column))
        shown.append([values[column](index) for index in listed(image)])
    assert shown == [sorted(wanted), sorted(wanted, reverse=True), wanted]
    assert len(set(wanted)) > 1
    session.set_queue(key, QueueFilter("all", sort=column))
    first, second = listed(image)[:2]
    session.go_to(key, first)
    if column != "state":  # which a visit changes
        assert session.next_slice(key) == second, "the walk follows the list"


def test_images_without_phases(session: Session, make_cine: Make, make_heart: Make) -> None:
    cine, stack = session.add(make_cine(), "cine"), session.add(make_heart(), "stack")
    assert listed(session.image(cine)) == ()
    assert progress_of(session.image(cine)) == (0, 0)
    session.segment(cine, "toy", scope=Scope(frames=(1,))).result(60)
    session.segment(stack, "toy").result(60)
    for key in (cine, stack):
        assert listed(session.image(key)) == session.image(key).review.order
