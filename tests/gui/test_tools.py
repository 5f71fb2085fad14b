"""Tools of the Review panel: one step of undo, for the structure that is painted with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt

from napari_flomo.session import SliceIndex, SliceState


@pytest.fixture
def segmented(bench: Any, make_volume: Any) -> Any:
    """A stack whose four slices show a square."""
    volume = make_volume(slices=4)
    data = np.zeros(volume.data.shape, np.int16)
    data[:, 6:16, 6:16] = 200
    entry = bench.add(volume.with_data(data))
    bench.run()
    entry.labels.selected_label = int(entry.labels.data.max())
    return entry


def sizes(entry: Any) -> list[int]:
    return [int(np.count_nonzero(pixels)) for pixels in entry.labels.data]


def test_every_tool_has_a_key(bench: Any, segmented: Any) -> None:
    bench.viewer.dims.current_step = (1, 0, 0)
    bench.review.tools.form.size.value = 2.0
    layer, (_, size, *_rest) = segmented.labels, sizes(segmented)
    speck = tuple(np.array([one]) for one in (1, 0, 0))
    layer.data_setitem(speck, np.array([layer.selected_label]))
    before = layer.data.copy()
    for key, grows in (("S", False), ("G", True), ("K", False), ("I", False)):
        bench.press(getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.ShiftModifier)
        assert (sizes(segmented)[1] > size + 1) == grows, key
        assert not np.array_equal(layer.data[1], before[1])
        assert np.array_equal(layer.data[[0, 2, 3]], before[[0, 2, 3]])
        layer.undo()
        assert np.array_equal(layer.data, before)
    layer.data_setitem(np.nonzero(before * [[[0]], [[1]], [[0]], [[0]]]), 0)
    bench.press(Qt.Key.Key_F, Qt.KeyboardModifier.ShiftModifier)
    assert layer.data[1].any()


def test_a_tool_changes_the_slice_on_the_screen(bench: Any, segmented: Any) -> None:
    image = bench.viewer_state.opened(segmented)
    bench.viewer_state.presenter.go_to(image.key, SliceIndex(0, 1))
    bench.click(bench.review.accept_button)
    assert image.review.state(SliceIndex(0, 1)) is SliceState.ACCEPTED
    bench.viewer.dims.current_step = (1, 0, 0)
    before = sizes(segmented)
    bench.review.tools.form.tool.value = "shrink"
    bench.review.tools.form.size.value = 2.0
    bench.click(bench.review.tools.apply_button)
    after = sizes(segmented)
    assert after[1] < before[1]
    assert [after[0], *after[2:]] == [before[0], *before[2:]]
    assert np.array_equal(image.labels.data, segmented.labels.data)
    assert image.review.edits(SliceIndex(0, 1)) == before[1] - after[1]
    assert image.review.state(SliceIndex(0, 1)) is not SliceState.ACCEPTED
    assert image.autosave.flush(), "it is on the disk"
    segmented.labels.undo()
    bench.qtbot.waitUntil(lambda: np.array_equal(image.labels.data, segmented.labels.data))
    assert sizes(segmented) == before


def test_all_slices_at_once(bench: Any, segmented: Any) -> None:
    before = sizes(segmented)
    bench.review.tools.form.tool.value = "grow"
    bench.review.tools.form.whole_stack.value = True
    bench.click(bench.review.tools.apply_button)
    assert all(new > old for new, old in zip(sizes(segmented), before, strict=True))


def test_a_locked_structure_says_so(bench: Any, segmented: Any) -> None:
    before = sizes(segmented)
    code = int(segmented.labels.selected_label)
    bench.viewer_state.session.lock(bench.viewer_state.key, code)
    bench.review.tools.form.tool.value = "grow"
    bench.click(bench.review.tools.apply_button)
    assert sizes(segmented) == before
    assert "locked" in bench.review.message.text.text()


def test_only_options_that_the_tool_has(bench: Any, segmented: Any) -> None:
    form = bench.review.tools.form
    for tool, size, stack in (
        ("smooth", True, True),
        ("remove islands", False, True),
        ("fill between slices", False, False),
    ):
        form.tool.value = tool
        assert (form.size.enabled, form.whole_stack.enabled) == (size, stack)
