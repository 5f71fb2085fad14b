"""Labels that contradict anatomy are listed in Review; a click goes there."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt

from napari_flomo.session import SliceIndex


@pytest.fixture
def segmented(bench, make_volume):
    """A stack whose four slices show a square."""
    volume = make_volume(slices=4)
    data = np.zeros(volume.data.shape, np.int16)
    data[:, 6:16, 6:16] = 200
    entry = bench.add(volume.with_data(data))
    bench.run()
    return entry


def test_a_stroke_that_leaves_a_piece_is_flagged_until_it_is_undone(bench, segmented):
    flags = bench.review.flags
    assert not flags.isVisible()
    bench.viewer.dims.current_step = (2, 0, 0)
    code = int(segmented.labels.data.max())
    island = tuple(np.nonzero(np.ones((1, 4, 4))))  # in the first slice
    segmented.labels.data_setitem(island, code)
    bench.qtbot.waitUntil(flags.isVisible)
    assert [flags.item(row).text() for row in range(flags.count())] == [
        "Slice 1: The left ventricle has several pieces."
    ]
    spot = flags.visualItemRect(flags.item(0)).center()
    bench.qtbot.mouseClick(flags.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert bench.viewer_state.position(segmented) == SliceIndex(0, 0)
    segmented.labels.undo()
    bench.qtbot.waitUntil(lambda: not flags.isVisible())
