"""Labels that were saved earlier become the labels of an open image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import CorrectionStore, default_store
from napari_flomo.models import info
from napari_flomo.session import Message, Session, SliceIndex, continue_from
from napari_flomo.session.corrections_sync import ReviewSnapshot
from napari_flomo.volumes import Volume, write


class Screen:
    """The part of a viewer that is needed: it keeps what it is told, and agrees to questions."""

    undo_hint = "Undo"

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.asked: list[Message] = []
        self.actions: list[Callable[[], None]] = []

    def dispatch(self, action: Callable[[], None]) -> None:
        self.actions.append(action)

    def notify(self, message: Message) -> None:
        self.said.append(message)

    def ask(self, question: Message) -> None:
        self.asked.append(question)
        question.choices[0].action()

    def read_labels(self, key: str) -> None:
        """Nothing is painted."""

    def show_labels(self, key: str) -> None:
        """Nothing is drawn."""

    def select_labels(self, key: str) -> None:
        """There are no layers."""

    def continue_from(self, session: Session, key: str, path: Path) -> str:
        continue_from(session, self, key, path, DEFAULT_MODEL)
        end = time.monotonic() + 30
        while not self.actions:
            assert time.monotonic() < end
            time.sleep(0.01)
        self.actions.pop()()
        return self.said[-1].text


@pytest.fixture
def screen() -> Any:
    return Screen()


@pytest.fixture
def heart(make_heart: Callable[..., Volume]) -> Volume:
    return make_heart(slices=3)


def labels_of(heart: Volume) -> Volume:
    data = np.zeros(heart.data.shape, np.uint8)
    data[1, 4:9, 4:9] = 3
    return heart.with_data(data)


def test_labels_stored_in_another_order(
    session: Session, screen: Any, heart: Volume, tmp_path: Path
) -> None:
    labels = labels_of(heart)
    step = heart.geometry.spacing[2] * (heart.n_slices - 1)
    normal = heart.geometry.direction_matrix[:, 2]
    origin = tuple(np.asarray(heart.geometry.origin) + step * normal)
    turned = np.asarray(heart.geometry.direction_matrix) * [1, 1, -1]
    geometry = replace(heart.geometry, origin=origin, direction=tuple(turned.ravel()))
    write(replace(labels, data=labels.data[::-1].copy(), geometry=geometry), tmp_path / "l.nrrd")
    key = session.add(heart, "heart")
    said = screen.continue_from(session, key, tmp_path / "l.nrrd")
    image = session.image(key)
    np.testing.assert_array_equal(image.labels.data, labels.data)
    assert "counted against those of the file" in said
    assert len(image.review.order) == 3
    assert image.review.accepted == sum(map(image.review.edits, image.review.order)) == 0


def test_what_the_network_proposed_is_found_in_the_store(
    session: Session, screen: Any, heart: Volume, tmp_path: Path
) -> None:
    key, mine = session.add(heart, "heart"), labels_of(heart)
    write(mine, tmp_path / "l.nii.gz")
    screen.continue_from(session, key, tmp_path / "l.nii.gz")
    image = session.image(key)
    session.go_to(key, SliceIndex(0, 0))
    session.accept(key)
    other = mine.data.copy()
    other[1] = 0
    store = CorrectionStore.open(default_store(), create=True)
    proposal = replace(ReviewSnapshot.of(image), proposed=mine.with_data(other))
    store.add(proposal.correction(store, "reader", {}))

    again = session.add(heart, "heart")
    assert "as kept" in screen.continue_from(session, again, tmp_path / "l.nii.gz")
    image = session.image(again)
    np.testing.assert_array_equal(image.segmentation.labels.data, other)
    assert [image.review.edits(SliceIndex(0, number)) for number in range(3)] == [
        0,
        (mine.data[1] != 0).sum(),
        0,
    ]


def test_on_an_image_with_labels(
    session: Session, screen: Any, heart: Volume, tmp_path: Path
) -> None:
    key = session.add(heart, "heart")
    write(heart.with_data(np.zeros(heart.data.shape, np.uint8)), tmp_path / "empty.nii.gz")
    write(labels_of(heart), tmp_path / "l.nii.gz")
    screen.continue_from(session, key, tmp_path / "empty.nii.gz")
    for number in (0, 1):
        session.go_to(key, SliceIndex(0, number))
        session.accept(key)
    said = screen.continue_from(session, key, tmp_path / "l.nii.gz")
    assert "counted against the network's labels" in said
    assert "a slice that you accepted" in screen.asked[0].text
    image = session.image(key)
    np.testing.assert_array_equal(image.labels.data, labels_of(heart).data)
    assert image.review.accepted == 1
    assert image.review.edits(SliceIndex(0, 1)) > 0


@pytest.mark.parametrize("fault", ["shifted", "unknown code"])
def test_labels_that_do_not_fit(
    session: Session, screen: Any, heart: Volume, tmp_path: Path, fault: str
) -> None:
    labels = labels_of(heart)
    if fault == "shifted":
        x, y, z = labels.geometry.origin
        labels = replace(labels, geometry=replace(labels.geometry, origin=(x + 5, y, z)))
    else:
        labels.data[0, 0, 0] = 9
    write(labels, tmp_path / "l.nii.gz")
    key = session.add(heart, "heart")
    said = screen.continue_from(session, key, tmp_path / "l.nii.gz")
    assert ("do not fit the image" in said) if fault == "shifted" else ("codes 9" in said)
    assert info(DEFAULT_MODEL)[1].name
    assert session.image(key).labels is None
