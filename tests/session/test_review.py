"""Order, states and progress of a review."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.session import Review, Scope, SliceIndex, SliceState

NAN = float("nan")
SCORES = np.array([[0.5, NAN, 2.0], [2.0, 0.1, NAN]])
ORDER = (SliceIndex(0, 2), SliceIndex(1, 0), SliceIndex(0, 0), SliceIndex(1, 1))


def test_the_most_uncertain_first_over_all_frames() -> None:
    assert Review(SCORES).order == ORDER
    assert Review(np.full((1, 3), NAN)).order == ()


def test_next_previous_and_accept() -> None:
    review = Review(SCORES)
    assert review.current is None
    assert review.previous() is None
    with pytest.raises(FlomoError, match="choose one in the list first"):
        review.accept()
    assert review.next() == ORDER[0]
    assert review.next() == ORDER[1]  # seen, not accepted
    assert [review.accept() for _ in range(3)] == [ORDER[2], ORDER[3], ORDER[0]]
    assert review.accepted == 3
    assert review.accept() is None
    assert review.finished
    assert review.next() is None
    review.reopen(ORDER[2])
    assert review.next() == ORDER[2]
    assert review.previous() == ORDER[1]  # also to accepted ones


def test_states_and_edits() -> None:
    review = Review(SCORES)
    place = review.go_to(SliceIndex(1, 1))
    assert review.state(place) is SliceState.SEEN
    assert review.state(ORDER[0]) is SliceState.OPEN
    review.set_edits(np.array([[0, 7, 0], [0, 3, 0]]))  # 7 where nothing was segmented
    review.set_edits(np.array(4), ORDER[0])
    assert (review.edits(place), review.edits(ORDER[0])) == (3, 4)
    assert review.to_dict()["edits"] == [[0, 2, 4], [1, 1, 3]]
    assert review.score(place) == pytest.approx(0.1)
    for outside in (SliceIndex(0, 1), SliceIndex(9, 0), SliceIndex(-1, 0)):
        with pytest.raises(FlomoError, match="was not segmented"):
            review.go_to(outside)


def test_a_new_run_resets_its_slices() -> None:
    review = Review(SCORES)
    for place in ORDER[:3]:
        review.go_to(place)
        review.accept()
    review.go_to(ORDER[0])
    scores = SCORES.copy()
    scores[1] = [0.2, 0.3, 0.4]
    again = review.rescored(scores, Scope(frames=(1,)).mask(2, 3))
    assert again.order == (
        SliceIndex(0, 2),
        SliceIndex(0, 0),
        SliceIndex(1, 2),
        SliceIndex(1, 1),
        SliceIndex(1, 0),
    )
    assert again.accepted == 2
    assert again.state(SliceIndex(1, 0)) is SliceState.OPEN
    assert again.current == ORDER[0]


def test_to_dict_and_restore() -> None:
    review = Review(SCORES)
    review.next()
    review.accept()
    text = json.dumps(review.to_dict(), allow_nan=False)
    again = Review(SCORES)
    again.restore(json.loads(text))
    assert again.to_dict() == review.to_dict()
    assert again.current == ORDER[1]


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3, 3]},
        {"current": [5, 0]},
        {"current": "here"},
        {"states": [[0, 0, "lost"]]},
        {"states": [[0, 7, "seen"]]},
        {"edits": None},
    ],
)
def test_a_review_that_does_not_fit_changes_nothing(change: dict) -> None:
    review = Review(SCORES)
    review.next()
    before = review.to_dict()
    with pytest.raises(FlomoError, match="belongs to another image"):
        review.restore(before | change)
    with pytest.raises(FlomoError):
        review.restore({})
    assert review.to_dict() == before
