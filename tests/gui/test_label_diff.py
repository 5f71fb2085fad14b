"""Strokes on the labels: recorded, undone, and refused on locked labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt

from napari_flomo.corrections import (
    CorrectionStore,
    default_store,
    journals_folder,
    replay,
    unfinished,
)
from napari_flomo.errors import FlomoError
from napari_flomo.session import SliceIndex, SliceState
from napari_flomo.volumes import Volume, read

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def painted(bench: Any, make_heart: Callable[..., Volume]) -> Any:
    """A segmented heart, with the brush selected, on its middle slice."""
    entry = bench.add(make_heart(slices=3, size=64))
    bench.run()
    entry.labels.mode = "paint"
    entry.labels.brush_size = 5
    bench.viewer.dims.current_step = (1, 0, 0)
    return entry


def autosave_of(bench: Any, entry: Any) -> Any:
    return bench.viewer_state.opened(entry).autosave


def journal_of(bench: Any, entry: Any) -> Any:
    assert autosave_of(bench, entry).flush()
    return replay(next(path for path in journals_folder().iterdir() if path.is_dir()))


def test_a_stroke_is_measured_and_recorded(bench: Any, painted: Any) -> None:
    layer = painted.labels
    layer.selected_label = 2
    before = layer.data.copy()
    image = bench.viewer_state.opened(painted)
    size = image.counts.voxels(2, 0)
    bench.stroke(layer, (1, 5, 10), (1, 5, 20), (1, 5, 30))
    assert set(layer.data[1, 5, 10:31]) == {2}
    assert (layer.data[[0, 2]] == before[[0, 2]]).all()
    added = int((layer.data != before).sum())
    assert added > 80
    assert image.counts.voxels(2, 0) == size + added
    assert bench.review.structures.sizes[2].text() == f"{image.counts.ml(2, 0):.1f} ml"
    assert image.review.edits(SliceIndex(0, 1)) == added
    replayed = journal_of(bench, painted)
    assert replayed.strokes == 1
    np.testing.assert_array_equal(replayed.labels.data, layer.data)
    np.testing.assert_array_equal(replayed.proposed.data, before)


def test_the_stroke_is_drawn_in_its_colour(bench: Any, painted: Any) -> None:
    painted.labels.selected_label = 3
    painted.labels.opacity = 1
    bench.stroke(painted.labels, (1, 6, 20), (1, 6, 40))
    painted.labels.mode = "pan_zoom"  # the brush itself is drawn, too
    after = bench.picture()
    where, beside = (bench.on_canvas(painted.labels, (1, row, 30)) for row in (6, 12))
    red, green, blue = after[where.y(), where.x()]
    assert red > 200
    assert max(green, blue) < 110
    assert after[beside.y(), beside.x()].max() < 150


def test_undo_and_redo_are_recorded(bench: Any, painted: Any) -> None:
    layer = painted.labels
    layer.selected_label = 3
    before = layer.data.copy()
    bench.stroke(layer, (1, 5, 10), (1, 5, 20))
    after = layer.data.copy()
    image = bench.viewer_state.opened(painted)
    bench.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(layer.data, before)
    bench.qtbot.waitUntil(lambda: image.review.edits(SliceIndex(0, 1)) == 0)
    np.testing.assert_array_equal(journal_of(bench, painted).labels.data, before)
    bench.press(Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_array_equal(layer.data, after)
    changed = int((before != after).sum())
    bench.qtbot.waitUntil(lambda: image.review.edits(SliceIndex(0, 1)) == changed)
    row = bench.review.list.slices.index(SliceIndex(0, 1))
    assert bench.review.list.item(row, 3).text() == str(changed)
    bench.qtbot.waitUntil(lambda: journal_of(bench, painted).strokes == 3)
    np.testing.assert_array_equal(journal_of(bench, painted).labels.data, after)


def test_undo_works_across_accept(bench: Any, painted: Any) -> None:
    layer = painted.labels
    layer.selected_label = 3
    before = layer.data.copy()
    bench.stroke(layer, (1, 5, 10), (1, 5, 20))
    review = bench.viewer_state.opened(painted).review
    bench.click(bench.review.accept_button)
    assert review.state(SliceIndex(0, 1)) is SliceState.ACCEPTED
    assert bench.viewer_state.position(painted) != SliceIndex(0, 1)
    bench.press(Qt.Key.Key_Z, CTRL)
    assert bench.viewer_state.position(painted) == SliceIndex(0, 1)
    assert review.state(SliceIndex(0, 1)) is SliceState.SEEN
    assert (layer.data != before).any(), "the stroke is the action before"
    bench.press(Qt.Key.Key_Z, CTRL)
    bench.qtbot.waitUntil(lambda: bool((layer.data == before).all()), timeout=20_000)
    replayed = journal_of(bench, painted)
    assert replayed.accepted == frozenset()

    def kept() -> list[tuple[int, int]]:
        records = CorrectionStore.open(default_store(), create=True).records()
        return list(records[0].places_seen) if records else []

    bench.qtbot.waitUntil(lambda: kept() == [], timeout=10_000)
    bench.press(Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    bench.qtbot.waitUntil(lambda: bool((layer.data != before).any()), timeout=20_000)
    bench.viewer.dims.current_step = (1, 0, 0)
    bench.click(bench.review.accept_button)
    bench.qtbot.waitUntil(lambda: kept() == [(0, 1)], timeout=20_000)
    store = CorrectionStore.open(default_store())
    record = store.records()[0]
    np.testing.assert_array_equal(store.read(record.id).corrected.data, layer.data)
    assert store.verify() == []
    # The journal began before the slice was accepted, and knows of it all the same.
    bench.qtbot.waitUntil(lambda: journal_of(bench, painted).accepted == {(0, 1)}, timeout=20_000)


def test_a_store_that_cannot_be_written_is_reported(
    bench: Any, painted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any, **_kwargs: Any) -> Any:
        raise FlomoError("The disk is full; free some space.")

    make = CorrectionStore.open
    monkeypatch.setattr(CorrectionStore, "open", full)
    bench.click(bench.review.next_button)
    bench.click(bench.review.accept_button)
    said = bench.review.kept
    bench.qtbot.waitUntil(lambda: "The disk is full" in said.text(), timeout=10_000)
    assert "Retrying" in said.text()
    monkeypatch.setattr(CorrectionStore, "open", make)
    bench.click(bench.review.accept_button)
    bench.qtbot.waitUntil(lambda: "2 accepted slices are kept" in said.text(), timeout=10_000)


def test_a_journal_has_earlier_accepted_slices_and_locks(bench: Any, painted: Any) -> None:
    bench.viewer_state.presenter.go_to(painted.key, SliceIndex(0, 1))
    bench.click(bench.review.accept_button)
    bench.click(bench.review.structures.locks[3])
    bench.viewer.dims.current_step = (2, 0, 0)
    painted.labels.selected_label = 2
    bench.stroke(painted.labels, (2, 5, 10), (2, 5, 20))
    replayed = journal_of(bench, painted)
    assert replayed.accepted == {(0, 1)}
    assert replayed.locked == {3}
    assert replayed.about["card"]["name"] == "toy"


def test_a_locked_label_keeps_its_voxels(bench: Any, painted: Any) -> None:
    layer = painted.labels
    before = layer.data.copy()
    bench.click(bench.review.structures.locks[3])
    assert bench.viewer_state.opened(painted).locked == {3}
    layer.selected_label = 2
    held: list[bool] = []

    def compare() -> None:
        held.append(bool(layer.data[1, 32, 40] == 2 or layer.data[1, 32, 5] == 2))
        held.append(np.array_equal(layer.data == 3, before == 3))

    path = [(1, 32, 5), (1, 32, 32), (1, 32, 60)]  # straight through the cavity
    bench.stroke(layer, *path, before_release=compare)
    assert held == [True, True], "it does not give way while the brush is down"
    np.testing.assert_array_equal(layer.data == 3, before == 3)
    assert layer.data[1, 32, 5] == 2
    said = bench.review.message.text
    bench.qtbot.waitUntil(lambda: "left ventricle is locked" in said.text())
    painted_over = layer.data.copy()
    bench.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(layer.data, before)
    bench.press(Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_array_equal(layer.data, painted_over)
    layer.selected_label = 3
    bench.stroke(layer, (1, 5, 10), (1, 5, 20))
    np.testing.assert_array_equal(layer.data, painted_over)
    layer.fill((1, 32, 32), 2)
    np.testing.assert_array_equal(layer.data, painted_over)
    layer.data[1, 30:34, 30:34] = 0  # past napari's tools, as a script does
    layer.refresh()
    bench.qtbot.waitUntil(lambda: np.array_equal(layer.data, painted_over))
    bench.run()  # another run does not touch it either; here it would find the same
    np.testing.assert_array_equal(layer.data == 3, before == 3)


def test_fill_and_another_plugin(bench: Any, painted: Any) -> None:
    layer = painted.labels
    layer.fill((1, 32, 32), 2)
    assert (layer.data[1] == 3).sum() == 0
    review = bench.viewer_state.opened(painted).review
    bench.qtbot.waitUntil(lambda: review.edits(SliceIndex(0, 1)) > 80)
    layer.data[2] = 0  # in place, as a script does
    layer.refresh()
    bench.qtbot.waitUntil(lambda: bench.viewer_state.opened(painted).counts.voxels(3, 0) > 0)
    bench.qtbot.waitUntil(lambda: journal_of(bench, painted).strokes == 2)
    np.testing.assert_array_equal(journal_of(bench, painted).labels.data, layer.data)


def test_saving_ends_the_journal(bench: Any, painted: Any, tmp_path: Any) -> None:
    painted.labels.selected_label = 2
    bench.stroke(painted.labels, (1, 5, 10), (1, 5, 30))
    assert journal_of(bench, painted).strokes == 1
    bench.review.save(str(tmp_path / "out.nii.gz"))
    assert autosave_of(bench, painted) is None
    assert not [path for path in journals_folder().iterdir() if path.is_dir()]
    np.testing.assert_array_equal(read(tmp_path / "out.nii.gz").data, painted.labels.data)


def test_closing_without_saving_leaves_an_offer(bench: Any, painted: Any) -> None:
    bench.stroke(painted.labels, (1, 5, 10), (1, 5, 30))
    assert unfinished() == []  # it is open here
    bench.viewer.layers.remove(painted.labels)
    (left,) = unfinished()
    assert left.strokes == 1


def test_a_review_without_edits_leaves_no_journal(bench: Any, painted: Any) -> None:
    bench.click(bench.review.next_button)
    bench.click(bench.review.accept_button)
    bench.viewer.layers.clear()
    assert not journals_folder().exists() or not list(journals_folder().iterdir())


def test_a_full_disk_is_reported_and_painting_continues(
    bench: Any, painted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_flomo.corrections import Journal
    from napari_flomo.errors import FlomoError

    def full(*_args: Any, **_kwargs: Any) -> Any:
        raise FlomoError("The disk is full; free some space.")

    make = Journal.create
    monkeypatch.setattr(Journal, "create", full)
    layer = painted.labels
    layer.selected_label = 2
    bench.stroke(layer, (1, 5, 10), (1, 5, 20))
    bench.qtbot.waitUntil(lambda: "could not be saved" in bench.review.message.text.text())
    assert "disk is full" in bench.review.message.text.text()
    assert layer.data[1, 5, 15] == 2
    monkeypatch.setattr(Journal, "create", make)
    bench.stroke(layer, (1, 58, 10), (1, 58, 20))
    bench.qtbot.waitUntil(lambda: "again" in bench.review.message.text.text())
    replayed = journal_of(bench, painted)
    assert replayed.strokes == 2
    np.testing.assert_array_equal(replayed.labels.data, layer.data)
