"""``flomo measure``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.volumes import Volume, write

CODES = "1=left ventricle, 2=myocardium"


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    """Four frames, of which 0 is the largest and 2 the smallest; codes of another program."""
    row, column = np.indices((64, 64))
    distance = np.hypot(row - 31.5, column - 31.5)
    frames = [
        np.where(distance <= r, 1, np.where(distance <= r + 6, 2, 0)) for r in (20, 18, 9, 15)
    ]
    data = np.stack([np.repeat(frame[None], 5, axis=0) for frame in frames]).astype(np.uint8)
    write(Volume.from_array(data, spacing=(8, 1.5, 1.5)), tmp_path / "cine.nii.gz")
    return tmp_path / "cine.nii.gz"


@pytest.fixture
def measure(flomo):
    """Run ``flomo measure``."""
    return partial(flomo, "measure")


def test_labels_of_another_program(cine, measure):
    out = measure(cine, "--codes", CODES, "--height", 180, "--weight", 80)[0]
    assert out.startswith("Codes: 1 left ventricle, 2 myocardium\nEnd diastole: frame 0, end")
    assert "left ventricle: EDV 113" in out
    assert "right ventricle" not in out
    assert "wall, ED: 8.9 mm" in out or "wall, ED: 9.0 mm" in out
    assert "Per m2 of body surface (2.00 m2" in out


def test_json_has_every_frame_and_pinned_phases(cine, answer):
    report = answer("measure", cine, "--codes", CODES, "--es", 3)
    assert report["heart"]["phases"]["left"] == {"ED": 0, "ES": 3, "pinned": ["ES"]}
    assert [one["frame"] for one in report["structures"]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert report["wall"]["ED"]["mean_mm"] == pytest.approx(9, rel=0.02)
    assert report["flags"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codes", CODES, "--ed", 4], "There is no frame 4; the cine has frames 0 to 3."),
        (["--codes", "1=tumour", "--ed", 0], "name them with --codes"),
        (["--codes", CODES, "--height", 180], "give both"),
    ],
)
def test_what_cannot_be_measured(cine, refused, arguments, message):
    assert message in refused("measure", cine, *arguments)


@pytest.mark.parametrize("codes", ["left ventricle", "1=", "300=left ventricle"])
def test_wrong_codes(cine, measure, capsys, codes):
    with pytest.raises(SystemExit):
        measure(cine, "--codes", codes)
    assert "--codes" in capsys.readouterr().err


def test_volumes_of_reference_patient(shared, answer):
    labels = [shared / f"data/acdc/labels/patient001_frame0{number}_gt.nii.gz" for number in (1, 2)]
    heart = answer("measure", *labels)["heart"]
    assert heart["left_ventricle"]["edv_ml"] == pytest.approx(295.51, abs=0.01)
    assert heart["right_ventricle"]["esv_ml"] == pytest.approx(59.55, abs=0.01)
