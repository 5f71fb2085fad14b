"""``flomo measure``."""

from __future__ import annotations

from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from napari_flomo import cli
from napari_flomo.measures import Conventions
from napari_flomo.volumes import Volume, read, write

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


def test_conventions_are_chosen_and_stated(cine, measure, answer):
    chosen = ("--slice-gaps", "excluded", "--slice-thickness", 6, "--density", 1.04)
    out, heart = (
        measure(cine, "--codes", CODES, *chosen)[0],
        answer("measure", cine, "--codes", CODES, *chosen)["heart"],
    )
    usual = answer("measure", cine, "--codes", CODES)["heart"]
    assert heart["left_ventricle"]["edv_ml"] == pytest.approx(
        usual["left_ventricle"]["edv_ml"] * 0.75
    )
    assert heart["mass_g"] == pytest.approx(usual["mass_g"] * 0.75 * 1.04 / 1.05)
    assert heart["conventions"]["slice_gaps"] == "excluded"
    assert "gaps between slices are left out." in out
    assert "1.04 g/ml" in out


def test_the_options_are_those_of_the_conventions():
    parser = cli.build_parser()
    for name, hint in get_type_hints(Conventions).items():
        for value in get_args(hint):
            option = f"--{name.replace('_', '-')}"
            assert getattr(parser.parse_args(["measure", "x.nii", option, value]), name) == value
    args = parser.parse_args(["measure", "x.nii"])
    assert (args.papillary_muscles, args.basal_slices, args.slice_gaps, args.density) == astuple(
        Conventions()
    )


def test_cardiac_output_for_a_stated_heart_rate(cine, measure):
    out = measure(cine, "--codes", CODES, "--heart-rate", 80)[0]
    assert "heart rate: 80 per minute (stated)" in out
    assert "left cardiac output: 7." in out
    assert "cardiac output" not in measure(cine, "--codes", CODES)[0]


def test_papillary_muscles_need_the_image(cine, tmp_path, answer):
    labels = read(cine)
    grey = np.where(labels.data == 1, 200, 60).astype(np.int16)
    grey[:, :, 29:35, 29:35] = 60
    write(labels.with_data(grey), tmp_path / "image.nii.gz")
    chosen = ("--image", tmp_path / "image.nii.gz", "--papillary-muscles", "myocardium")
    heart = answer("measure", cine, "--codes", CODES, *chosen)["heart"]
    usual = answer("measure", cine, "--codes", CODES)["heart"]
    lost = usual["left_ventricle"]["edv_ml"] - heart["left_ventricle"]["edv_ml"]
    assert lost == pytest.approx(36 * 5 * 1.5**2 * 8 / 1000)
    assert heart["mass_g"] == pytest.approx(usual["mass_g"] + lost * 1.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codes", CODES, "--papillary-muscles", "myocardium"], "give the image of the labels"),
        (["--codes", CODES, "--slice-gaps", "excluded"], "slice thickness of this image is not"),
        (["--codes", CODES, "--density", 1050], "1050 g/ml is not that of myocardium"),
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
