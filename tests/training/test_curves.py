"""Plots of training curves."""

from __future__ import annotations

import pytest
from PIL import Image

from flomo_training.curves import draw_curves, read_curves
from napari_flomo.errors import FlomoError

TABLE = """epoch,step,train/loss,val/loss,learning_rate,slices,seconds
0,9,2.5,,0.001,100,10
0,9,,2.0,,,
1,19,1.5,,0.002,100,20
1,19,,nan,,,
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(TABLE)
    return path


def test_stages_share_a_panel(table):
    panels = read_curves(table)
    assert panels == {
        "loss": {"train": [(1, 2.5), (2, 1.5)], "val": [(1, 2.0)]},
        "learning_rate": {"": [(1, 0.001), (2, 0.002)]},
        "slices_per_second": {"": [(1, 10.0), (2, 5.0)]},
    }


def test_the_picture_is_drawn(table, tmp_path):
    picture = tmp_path / "curves.png"
    draw_curves(table, picture)
    with Image.open(picture) as image:
        image.load()
    assert image.width > 3 * image.height
    assert len(image.convert("RGB").getcolors(1 << 20)) > 20


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("epoch,train/loss\n", "are empty"),
        ("epoch,train/loss\n0,nan\n", "are empty"),
        ("step,train/loss\n0,1\n", "cannot be read"),
        ("epoch,train/loss\n0,low\n", "cannot be read"),
        (None, "do not exist"),
    ],
)
def test_table_without_curves_is_reported(tmp_path, content, complaint):
    table = tmp_path / "metrics.csv"
    if content is not None:
        table.write_text(content)
    with pytest.raises(FlomoError, match=complaint):
        draw_curves(table, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
