"""Messages go when their reason does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_flomo.session import Message, MessageBoard, Session, Until
from napari_flomo.session.events import AutosaveChanged, RunStarted
from napari_flomo.session.runs import Run
from napari_flomo.volumes import Volume

ALL = set(Until) - {Until.MOMENT}


@pytest.fixture
def session(make_volume: Callable[..., Volume]) -> Session:
    session = Session(worker=object())  # no run is started
    for name in ("one", "two"):
        session.add(make_volume(slices=2), name)
    return session


def stroke(session: Session, key: str) -> None:
    image = session.image(key)
    labels = np.zeros(image.volume.data.shape, np.uint8)
    session.set_labels(key, labels)


def run(session: Session, key: str) -> None:
    session.notify(RunStarted(Run("segment", key=key)))


@pytest.mark.parametrize(
    ("happens", "stays"),
    [
        (lambda session, board: board.acted("image-1"), ALL - {Until.ACTION}),
        (lambda session, board: board.acted("image-2"), ALL),
        (lambda session, board: run(session, "image-1"), {Until.ANSWER, Until.SAVED}),
        (lambda session, board: run(session, "image-2"), ALL),
        (lambda session, board: session.lock("image-1", 1), ALL - {Until.ACTION}),
        (
            lambda session, board: session.notify(AutosaveChanged("image-1", None)),
            ALL - {Until.SAVED},
        ),
        (lambda session, board: session.notify(AutosaveChanged("image-1", "full")), ALL),
        (lambda session, board: session.remove("image-1"), set()),
        (lambda session, board: session.remove("image-2"), ALL),
        (lambda session, board: board.choose("image-2"), set()),
    ],
)
def test_when_messages_go(
    session: Session, happens: Callable[[Session, MessageBoard], Any], stays: set[Until]
) -> None:
    board = MessageBoard(session)
    board.choose("image-1")
    for until in ALL:
        board.post(Message(until.value, key="image-1", until=until))
    happens(session, board)
    shown = []
    while board.shown is not None:
        shown.append(board.shown.until)
        board.dismiss(board.shown)
    assert set(shown) == stays


def test_another_image_hides_but_does_not_lose(session: Session) -> None:
    board, changes = MessageBoard(session), []
    board.subscribe(lambda: changes.append(board.shown))
    board.choose("image-1")
    offer = Message("offer", key="image-1", until=Until.ANSWER)
    general = Message("general")
    failure = Message("failure", "error", key="image-1", until=Until.RUN)
    board.post(offer)
    board.post(general)
    assert board.shown is general
    board.choose("image-2")
    assert board.shown is None
    board.choose("image-1")
    assert board.shown is offer
    board.post(failure)
    board.choose("image-2")
    assert board.shown is failure, "an error is shown wherever the user is"
    assert changes == [offer, general, None, offer, failure]


def test_a_message_replaces_the_one_before(session: Session) -> None:
    board = MessageBoard(session)
    for text in ("one", "two"):
        board.post(Message(text))
        board.post(Message(f"offer {text}", until=Until.ANSWER, kind=text))
    board.solve("two")
    texts = []
    while board.shown is not None:
        texts.append(board.shown.text)
        board.dismiss(board.shown)
    assert texts == ["two", "offer one"]
