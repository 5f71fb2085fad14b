"""``flomo report``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from napari_flomo import cli
from napari_flomo.volumes import Volume, write


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Labels and image of one frame, and an image of another size."""
    row, column = np.indices((48, 48))
    distance = np.hypot(row - 24, column - 24)
    pixels = np.where(distance <= 10, 3, np.where(distance <= 16, 2, 0)).astype(np.uint8)
    labels = Volume.from_array(np.repeat(pixels[None], 4, axis=0), spacing=(8, 1.5, 1.5))
    volumes = {
        "labels": labels,
        "image": labels.with_data(labels.data.astype(np.int16) * 50),
        "other": Volume.from_array(np.ones((4, 40, 48), np.int16), spacing=(8, 1.5, 1.5)),
    }
    for name, volume in volumes.items():
        write(volume, tmp_path / f"{name}.nii.gz")
    return {name: tmp_path / f"{name}.nii.gz" for name in volumes}


def flomo(*arguments: object) -> int:
    return cli.main(["report", *map(str, arguments)])


def test_report_of_one_frame(files, tmp_path, capsys):
    out = [tmp_path / "heart.pdf", tmp_path / "heart.txt"]
    options = ["-o", out[0], "-o", out[1], "--title", "Study 7"]
    assert flomo(files["labels"], "--image", files["image"], *options) == 0
    assert capsys.readouterr().out == f"Wrote {out[0]}\nWrote {out[1]}\n"
    assert out[0].stat().st_size > 5000
    text = out[1].read_text()
    assert text.startswith("Study 7\n")
    assert "labels of unknown origin" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image", "other"], "do not fit the image"),
        (["--image", "image", "image"], "as many images"),
        (["-o", "heart.docx"], "cannot hold a report"),
    ],
)
def test_faults_write_nothing(files, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    out.mkdir()
    arguments = [files.get(one, one) for one in arguments]
    arguments = [out / one if one == "heart.docx" else one for one in arguments]
    assert flomo(files["labels"], *arguments, "-o", out / "heart.txt") == 2
    assert message in capsys.readouterr().err
    assert not list(out.iterdir())
