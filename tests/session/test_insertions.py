"""Insertion points of the right ventricle that the user moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_flomo.corrections import journals_folder, replay
from napari_flomo.errors import FlomoError
from napari_flomo.measures import Insertions
from napari_flomo.session import (
    InsertionsChanged,
    Session,
    SliceIndex,
    note_of,
    report_of,
    review_note,
    wall_insertions,
)
from napari_flomo.session.recovery import prepare
from napari_flomo.volumes import Volume

Make = Callable[..., Volume]
ES = 2


@pytest.fixture
def key(session: Session, make_ventricles: Make) -> str:
    """A segmented cine; end diastole is its frame 1, end systole its frame 2."""
    key = session.add(make_ventricles(), "cine")
    session.segment(key, "heart").result(60)
    return key


def at(degrees: float, index: SliceIndex) -> dict[SliceIndex, Insertions]:
    """Return insertion points 120 degrees apart, the anterior one at an angle."""
    ends = np.radians([degrees, degrees - 120])
    first, second = ((24 + 15 * np.sin(end), 24 + 15 * np.cos(end)) for end in ends)
    return {index: Insertions(first, second)}


def in_all_slices(degrees: float) -> dict[SliceIndex, Insertions]:
    return {k: v for n in range(3) for k, v in at(degrees, SliceIndex(ES, n)).items()}


def segments(session: Session, key: str, phase: str) -> np.ndarray:
    wall = report_of(session.image(key)).measures.wall[phase]
    return np.array(wall.segments_mm, float)


def test_moved_points_turn_the_segments(session: Session, key: str, events: list[Any]) -> None:
    found = wall_insertions(session.image(key))
    assert set(found) == {SliceIndex(frame, number) for frame in (1, ES) for number in range(3)}
    before = segments(session, key, "ED")
    rings = []
    for degrees in (240, 180):
        session.phases.set_insertions(key, in_all_slices(degrees))
        assert events[-1] == InsertionsChanged(key)
        rings.append(segments(session, key, "ES"))
    for level in (slice(0, 6), slice(6, 12)):
        assert rings[1][level] == pytest.approx(np.roll(rings[0][level], -1), rel=0.02)
    assert np.ptp(rings[0][:6]) > 3
    assert segments(session, key, "ED") == pytest.approx(before), "other frames stay"
    session.phases.set_insertions(key, {})
    assert wall_insertions(session.image(key)) == found


@pytest.mark.parametrize("compacted", [False, True])
def test_moved_points_survive_a_crash(
    session: Session, key: str, paint: Callable[..., None], compacted: bool
) -> None:
    paint(session, key, (1, 1, 5, slice(5, 9)), 3)
    image, moved = session.image(key), in_all_slices(200)
    session.phases.set_insertions(key, moved)
    assert image.autosave.flush()
    if compacted:
        image.autosave._journal.compact()
    (folder,) = journals_folder().iterdir()
    found = replay(folder)
    again = session.add(found.image, "restored")
    session.restore(again, prepare(found, session.image(again)))
    assert session.image(again).insertions == pytest.approx(moved)


def test_saved_and_remembered(session: Session, key: str, make_ventricles: Make) -> None:
    image, moved = session.image(key), at(200, SliceIndex(ES, 1))
    session.phases.set_insertions(key, moved)
    session.segment(key, "heart").result(60)
    assert image.insertions == moved, "a run moves no points back"
    labels = image.labels.with_data(image.labels.data.copy(), axes=image.labels.axes)
    loaded = session.add(make_ventricles(), "loaded")
    session.restore_saved(loaded, note_of(image), image.segmentation.labels, labels, {})
    assert session.image(loaded).insertions == moved
    tomorrow = session.add(make_ventricles(), "tomorrow")
    session.segment(tomorrow, "heart").result(60)
    session.earlier.resume(tomorrow, review_note(image))
    assert session.image(tomorrow).insertions == moved


@pytest.mark.parametrize(
    "rows",
    [
        None,
        7,
        [[0, 0, 1]],
        [[0, 9, 1, 1, 2, 2]],
        [[0, 0, "a", 1, 2, 2]],
        [[0, 0, 1, 1, 2, float("nan")]],
    ],
)
def test_notes_without_points_or_damaged(session: Session, key: str, rows: Any) -> None:
    note = review_note(session.image(key))
    note["phases"]["insertions"] = rows
    session.earlier.resume(key, note)
    assert session.image(key).insertions == {}


def test_nothing_to_show(session: Session, make_heart: Make) -> None:
    key = session.add(make_heart(), "stack")
    with pytest.raises(FlomoError, match="segment it first"):
        wall_insertions(session.image(key))
    session.segment(key, "toy").result(60)
    assert wall_insertions(session.image(key)) == {}
