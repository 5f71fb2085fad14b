"""The Segment panel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QRadioButton

from napari_flomo.volumes import Geometry, Volume
from napari_flomo.widgets.layers import transform_of


def test_a_lazy_image_is_computed_in_a_thread(
    bench: Any, make_heart: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window stays responsive while dask computes."""
    import threading

    config = pytest.importorskip("dask", reason="dask is not installed").config
    array = pytest.importorskip("dask.array", reason="dask is not installed")
    data = make_heart(slices=3).data
    go_on = threading.Event()

    def compute() -> np.ndarray:
        if threading.current_thread() is not threading.main_thread():
            go_on.wait(30)
        return data

    with config.set(scheduler="synchronous"):
        lazy = array.map_blocks(compute, chunks=data.shape, dtype=data.dtype)
        layer = bench.viewer.add_image(lazy, scale=(8, 1.5, 1.5), name="lazy")
        bench.pick("toy")
        assert "computed when you click Segment" in bench.segment.image_line.text()
        bench.click(bench.segment.segment_button)
        assert bench.segment.progress.format() == "Computing the lazy image"
        assert bench.viewer_state.session.running is None
        bench.viewer.add_image(lazy[:2], scale=(8, 1.5, 1.5), name="second")
        bench.click(bench.segment.segment_button)
        bench.click(bench.segment.segment_button)
        assert waiting(bench) == ["second: queued, 1 ahead", "second: queued, 2 ahead"]
        bench.viewer.layers.remove("second")
        assert waiting(bench) == []
        bench.click(bench.segment.cancel_button)
        assert "nothing was changed" in bench.segment.message.text.text()
        assert not bench.segment.cancel_button.isVisible()
        bench.viewer.layers.selection.active = layer
        bench.click(bench.segment.segment_button)
        go_on.set()
        bench.qtbot.waitUntil(lambda: bench.viewer_state.lazy.computing is None, timeout=30_000)
        bench.wait_idle()
        entry = bench.viewer_state.entry_of(layer)
        assert entry.labels.data.shape == data.shape
        assert (entry.labels.data[1] == 3).sum() > 100


def test_click_to_mask(bench: Any, make_heart: Callable[..., Volume]) -> None:
    """The mask is where it should be: in the layer, and in its colour on the screen."""
    entry = bench.add(make_heart(slices=3, size=64))
    bench.run()
    layer = entry.labels
    assert layer.name == "heart labels"
    assert layer.data.shape == entry.image.data.shape
    assert set(np.unique(layer.data)) == {0, 2, 3}
    assert layer.data[1, 32, 32] == 3
    assert np.array_equal(layer.data_to_world((1, 2, 3)), entry.image.data_to_world((1, 2, 3)))
    status = layer.get_status(layer.data_to_world((1, 32, 32)), world=True)
    assert "left ventricle" in str(status), "the name is shown under the mouse"
    after = bench.picture()
    cavity = bench.on_canvas(layer, (1, 32, 32))
    wall = bench.on_canvas(layer, (1, 32, 47))
    outside = bench.on_canvas(layer, (1, 4, 4))
    red, green, blue = after[cavity.y(), cavity.x()]
    assert red > green + 60, "the cavity is red"
    assert red > blue + 60
    red, green, blue = after[wall.y(), wall.x()]
    assert min(red, green) > blue + 60, "the wall is yellow"
    assert np.ptp(after[outside.y(), outside.x()]) == 0, "the ground is grey"


def test_scope(bench: Any, make_volume: Callable[..., Volume]) -> None:
    cine = make_volume(frames=3, slices=4)
    volume = cine.with_data((cine.data % 200).astype(np.int16))
    entry = bench.add(volume)
    bench.viewer.dims.current_step = (1, 2, 0, 0)
    bench.segment.form.scope.value = "slice"
    bench.run()
    done = entry.labels.data.any(axis=(2, 3))
    assert done.tolist() == [[False] * 4, [False, False, True, False], [False] * 4]
    bench.segment.form.scope.value = "stack"
    bench.run()
    assert entry.labels.data.any(axis=(2, 3))[1].all()
    assert not entry.labels.data[0].any()
    bench.segment.form.scope.value = "all"
    bench.run()
    assert entry.labels.data.any(axis=(2, 3)).all()


def test_scope_buttons_follow_the_image(bench: Any, make_volume: Callable[..., Volume]) -> None:
    bench.add(make_volume(frames=3), "cine")
    buttons = bench.segment.form.scope.native.findChildren(QRadioButton)
    assert all(button.isVisible() for button in buttons)
    bench.segment.form.scope.value = "all"
    bench.add(make_volume(), "stack")
    assert [button.isVisible() for button in buttons] == [True, True, False]
    assert bench.segment.form().scope == "stack"


def test_several_images(bench: Any, make_heart: Callable[..., Volume]) -> None:
    first = bench.add(make_heart(slices=2, size=48), "first")
    second = bench.add(make_heart(slices=5, size=64), "second")
    assert bench.viewer_state.current is second
    bench.run()
    assert first.labels is None
    bench.viewer.layers.selection.active = first.image
    assert bench.segment.form.image.current_choice == "first"
    bench.run()
    assert first.labels.data.shape == (2, 48, 48)
    assert second.labels.data.shape == (5, 64, 64)
    bench.viewer.layers.selection.active = second.labels
    assert bench.viewer_state.current is second


def test_renamed_and_reordered_in_mid_run(bench: Any, make_heart: Callable[..., Volume]) -> None:
    mine = bench.add(make_heart(slices=6, size=48), "mine")
    other = bench.add(make_heart(slices=6, size=48, seed=3), "other")
    bench.viewer.layers.selection.active = mine.image
    bench.start()
    mine.image.name, other.image.name = "other", "mine"
    bench.viewer.layers.move(0, 2)
    bench.viewer.layers.selection.active = other.image
    bench.wait_idle()
    assert mine.labels.name == f"{mine.image.name} labels"
    assert other.labels is None
    expected = np.where(mine.image.data > 150, 3, np.where(mine.image.data > 80, 2, 0))
    np.testing.assert_array_equal(mine.labels.data, expected)
    mine.image.name = "renamed"
    assert mine.labels.name == "renamed labels"


def test_deleted_in_mid_run(bench: Any, make_heart: Callable[..., Volume]) -> None:
    stays = bench.add(make_heart(slices=20, size=48), "stays")
    gone = bench.add(make_heart(slices=20, size=48), "gone")
    bench.viewer.layers.selection.active = gone.image
    bench.start(progress=True)
    bench.viewer.layers.remove(gone.image)
    bench.wait_idle()
    assert [layer.name for layer in bench.viewer.layers] == ["stays"]
    assert stays.labels is None
    bench.run()
    assert stays.labels is not None


def test_changed_in_mid_run(bench: Any, make_heart: Callable[..., Volume]) -> None:
    entry = bench.add(make_heart(slices=6, size=48), "heart")
    bench.start()
    entry.image.data = entry.image.data[:, ::-1].copy()
    bench.wait_idle()
    assert entry.labels is None
    assert "was changed while it was segmented" in bench.segment.message.text.text()
    bench.run()
    np.testing.assert_array_equal(entry.labels.data == 3, entry.image.data > 150)


def test_cancel_within_a_second(bench: Any, make_heart: Callable[..., Volume]) -> None:
    entry = bench.add(make_heart(slices=100, size=48))
    bench.run("toy")
    painted = entry.labels.data.copy()
    bench.start(progress=True)
    assert "left" in bench.segment.progress.text() or bench.segment.progress.value() < 2
    start = time.monotonic()
    bench.click(bench.segment.cancel_button)
    bench.wait_idle()
    assert time.monotonic() - start < 1.0
    assert bench.segment.message.text.text() == "Cancelled; nothing was changed."
    np.testing.assert_array_equal(entry.labels.data, painted)
    assert not bench.segment.progress.isVisible()


def waiting(bench: Any) -> list[str]:
    return [label.text() for label, _button in bench.segment.queue.rows]


def test_runs_wait_for_each_other(bench: Any, make_heart: Callable[..., Volume]) -> None:
    first = bench.add(make_heart(slices=3, size=48), "first")
    bench.run()
    bench.add(make_heart(slices=3000, size=16), "long")  # minutes, until it is cancelled
    bench.start(progress=True)
    second, third = (bench.add(make_heart(slices=2, size=48, seed=n), str(n)) for n in (2, 3))
    bench.pick("toy")
    for entry in (second, third, second):
        bench.viewer.layers.selection.active = entry.image
        bench.click(bench.segment.segment_button)
    bench.viewer.layers.selection.active = first.image
    box = bench.review.uncertainty
    box.form.map.value = "variance"
    bench.click(box.compute_button)
    assert waiting(bench) == [
        "2: queued, 1 ahead",
        "3: queued, 2 ahead",
        "2: queued, 3 ahead",
        "Uncertainty of first: queued, 4 ahead",
    ]
    assert box.progress.text() == "queued, 4 ahead"
    bench.click(box.compute_button)
    bench.click(bench.segment.queue.rows[2][1])
    bench.qtbot.waitUntil(lambda: len(waiting(bench)) == 2, timeout=1000)
    bench.viewer.layers.remove(second.image)
    bench.qtbot.waitUntil(lambda: waiting(bench) == ["3: queued, 1 ahead"], timeout=1000)
    bench.click(bench.segment.cancel_button)
    bench.qtbot.waitUntil(lambda: third.labels is not None, timeout=60_000)
    assert waiting(bench) == []
    assert second.labels is None
    bench.wait_idle()


def cpu_clock() -> float:
    """Return the seconds that this thread had, less those in which other programs had its CPU."""
    turns = Path("/proc/thread-self/schedstat")
    waited = int(turns.read_text().split()[1]) / 1e9 if turns.is_file() else 0.0
    return time.monotonic() - waited


def test_the_window_stays_responsive(bench: Any, make_heart: Callable[..., Volume]) -> None:
    """During a run, the event loop never pauses for long."""
    bench.add(make_heart(slices=10, size=128))
    bench.run()  # napari compiles what it draws labels with, once in a process
    bench.start()
    last, longest = cpu_clock(), 0.0

    def turn() -> bool:
        nonlocal last, longest
        longest, last = max(longest, cpu_clock() - last), cpu_clock()
        return bench.viewer_state.session.running is None

    bench.qtbot.waitUntil(turn, timeout=60_000)
    assert longest < 1.0


def test_full_gpu_offers_the_cpu(bench: Any, make_heart: Callable[..., Volume]) -> None:
    entry = bench.add(make_heart())
    bench.run("gpu")
    message = bench.segment.message
    assert entry.labels is None
    assert "memory" in message.text.text()
    assert message.details_button.isVisible()
    bench.click(message.details_button)
    assert "OutOfMemoryError" in message.details.toPlainText()
    (button,) = message.buttons
    assert button.text() == "Use the CPU"
    bench.click(button)
    bench.wait_idle()
    assert entry.labels.data.any()


def test_a_missing_model_leads_to_the_models(bench: Any, make_heart: Callable[..., Volume]) -> None:
    entry = bench.add(make_heart())
    bench.run("gone")
    message = bench.segment.message
    assert message.text.text() == "There is no such model."
    assert entry.labels is None
    (button,) = message.buttons
    bench.click(button)
    docks = bench.viewer.window.dock_widgets
    assert any("Models" in name for name in docks)


def test_a_killed_worker_is_reported(
    bench: Any, worker: Any, make_heart: Callable[..., Volume]
) -> None:
    entry = bench.add(make_heart(slices=50, size=48))
    bench.start(progress=True)
    worker._child.process.kill()
    bench.wait_idle()
    assert entry.labels is None
    assert bench.segment.message.text.text().count(".") <= 2
    bench.run("toy")
    assert entry.labels is not None


def test_no_image_and_a_sheared_one(bench: Any) -> None:
    assert not bench.segment.segment_button.isEnabled()
    assert "Open an image" in bench.segment.image_line.text()
    bench.viewer.add_image(np.zeros((3, 40, 50)), scale=(8, 1, 1), shear=(0.5, 0, 0))
    bench.click(bench.segment.segment_button)
    assert "right angles" in bench.segment.message.text.text()


def test_set_voxel_size(bench: Any) -> None:
    layer = bench.viewer.add_image(np.random.default_rng(0).random((3, 40, 50)))
    row, button = bench.segment.form.voxel_mm, bench.segment.voxel_button
    assert row.native.isVisible()
    assert "voxel size not set" in bench.segment.image_line.text()
    assert button.text() == "Use 1.5 mm", "what is shown is not set yet"
    field = row[1].native.lineEdit()
    field.selectAll()
    bench.qtbot.keyClicks(field, "1.25")
    bench.qtbot.keyClick(field, Qt.Key.Key_Return)
    np.testing.assert_array_equal(layer.scale, (8, 1.25, 1.5))
    assert not row.native.isVisible()
    assert "1.25 × 1.5 × 8 mm" in bench.segment.image_line.text()


@pytest.mark.parametrize("place", [{"translate": (3, -7, 11)}, {"rotate": (0, 0, 30)}])
def test_results_lie_where_the_image_lies(
    bench: Any, make_heart: Callable[..., Volume], place: dict[str, Any]
) -> None:
    layer = bench.viewer.add_image(make_heart().data, scale=(8, 1.5, 1.5), **place)
    bench.run()
    entry = bench.viewer_state.entry_of(layer)
    for made in (entry.labels, entry.uncertainty):
        for key, value in transform_of(layer).items():
            theirs = getattr(made, key)
            assert np.all(np.asarray(theirs == value)), key


def test_remarks_after_a_run(bench: Any, make_heart: Callable[..., Volume]) -> None:
    heart = make_heart(slices=3, size=64)
    small = Volume(heart.data, Geometry((0.2, 0.2, 1.0)), notes=("The pixdim was used.",))
    bench.add(small)
    bench.run()
    said = bench.segment.message.text.text()
    assert said.startswith("The pixdim was used. Pixels of 0.2 x 0.2 mm")
    assert "less than that of a newborn" in said


def test_nan_outside_of_the_field_of_view_is_filled(
    bench: Any, make_heart: Callable[..., Volume]
) -> None:
    heart = make_heart(slices=3, size=64)
    data = heart.data.astype(np.float32)
    data[:, :6] = np.nan
    entry = bench.add(heart.with_data(data))
    bench.run()
    assert "1152 voxels without a value" in bench.segment.message.text.text()
    assert entry.labels.data[1, 32, 32] == 3
    data[:, 30:34, 30:34] = np.nan
    bench.add(heart.with_data(data.copy()), name="hole")
    bench.click(bench.segment.segment_button)
    assert "within the image" in bench.segment.message.text.text()
    (choice,) = bench.segment.message.buttons
    assert choice.text() == "Treat NaN as background"
    bench.click(choice)
    bench.wait_idle()
    assert "treated as background" in bench.segment.message.text.text()
    assert bench.viewer_state.current.labels.data[1, 31, 31] == 0, "the smallest value"


def test_images_without_anything_to_find(bench: Any) -> None:
    add, said = bench.viewer.add_image, bench.segment.message.text
    add(np.ones((3, 40, 50), bool), name="mask", scale=(8, 1, 1))
    bench.click(bench.segment.segment_button)
    assert said.text().startswith("mask holds only true and false")
    entry = bench.viewer_state.entry_of(add(np.zeros((3, 40, 50)), name="flat", scale=(8, 1, 1)))
    bench.run()
    assert not entry.labels.data.any()
    assert "have the same value" in said.text()
