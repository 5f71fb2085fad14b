"""``flomo segment``: files, reports, errors and interruptions."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.measures import structure_volumes
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume, read, write

Flomo = Callable[..., tuple[str, str]]
Refused = Callable[..., str]
Answer = Callable[..., dict[str, Any]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_the_segmentation(tmp_path: Path, stack: Path, model: Path, flomo: Flomo) -> None:
    out = tmp_path / "out"
    out.mkdir()
    labels, uncertainty, probabilities = out / "l.nii.gz", out / "u.nrrd", out / "p.nii.gz"
    arguments = [stack, "-o", labels, "--model", model, "--uncertainty", uncertainty]
    arguments += ["--probabilities", probabilities, "--device", "cpu"]
    printed, said = flomo("segment", *arguments)
    assert said == ""  # no progress bar without a terminal
    assert f"Wrote the labels to {labels}" in printed
    assert "RV: " in printed
    assert names(out) == ["l.nii.gz", "p.nii.gz", "u.nrrd"]

    expected = Segmenter.from_pretrained(model, device="cpu").segment(read(stack))
    assert np.array_equal(read(labels).data, expected.labels.data)
    assert np.array_equal(read(uncertainty).data, expected.uncertainty["entropy"].data)
    assert np.array_equal(read(probabilities).data, expected.probabilities.data)
    assert len(np.unique(expected.labels.data)) > 1, "the test shows nothing on empty labels"
    assert read(labels).geometry == read(stack).geometry


def test_json(cine: Path, model: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cine.parent)
    arguments = ["segment", cine.name, "-o", "labels.nii.gz", "--model", model]
    report = answer(*arguments, "--frames", "1,3", "--slices", "0")
    assert report["input"] == "cine.nii.gz"
    assert report["outputs"] == {"labels": "labels.nii.gz"}  # as they were given
    assert report["manifest"]["model"]["name"] == "random"
    assert report["manifest"]["conventions"]["papillary_muscles"] == "as-labelled"
    assert report["manifest"]["segmented"] == {"frames": [1, 3], "slices": [0]}
    scores = np.array(report["slice_scores"], dtype=float)
    assert scores.shape == (4, 2)
    assert np.isfinite(scores[[1, 3], 0]).all()
    assert np.isnan(scores).sum() == 6

    labels = read("labels.nii.gz")
    ml_per_voxel = 1.25 * 1.5 * 8 / 1000
    rows = [(row["frame"], row["code"], row["name"]) for row in report["volumes_ml"]]
    assert rows == [(1, 1, "RV"), (1, 5, "LV"), (3, 1, "RV"), (3, 5, "LV")]
    for row in report["volumes_ml"]:
        voxels = int((labels.frame(row["frame"]).data == row["code"]).sum())
        assert row["voxels"] == voxels
        assert row["ml"] == pytest.approx(voxels * ml_per_voxel)

    heart, cavity = report["heart"], {row["frame"]: row for row in report["volumes_ml"][1::2]}
    diastole, systole = (heart["phases"]["left"][phase] for phase in ("ED", "ES"))
    assert cavity[diastole]["ml"] >= cavity[systole]["ml"]
    assert heart["left_ventricle"]["edv_ml"] == pytest.approx(cavity[diastole]["ml"])
    assert heart["left_ventricle"]["esv_ml"] == pytest.approx(cavity[systole]["ml"])
    assert heart["phases"]["left"]["pinned"] == []
    assert not heart["complete"]


def test_summary_of_a_cine(cine: Path, model: Path, flomo: Flomo) -> None:
    arguments = ["segment", cine, "-o", cine.with_name("out.nii"), "--model", model]
    assert "ED frame" not in flomo(*arguments, "--frames", "3")[0], "one frame has no phase"
    lines = flomo(*arguments, "--frames", "1,3")[0].splitlines()
    assert any(line.startswith("  Left: EDV ") and " EF " in line for line in lines)
    assert re.fullmatch("  ED frame [13], ES frame [13]", lines[-1])


def test_chosen_slices_and_quiet(stack: Path, model: Path, flomo: Flomo) -> None:
    output = stack.with_name("out.nii")
    arguments = ["segment", stack, "-o", output, "--model", model, "--slices", "1"]
    assert "In the chosen slices only:" in flomo(*arguments)[0]
    output.unlink()
    assert flomo(*arguments, "-q") == ("", "")
    assert output.exists()


@pytest.mark.parametrize("damage", ["missing", "text", "empty", "truncated"])
def test_bad_input(stack: Path, model: Path, refused: Refused, damage: str) -> None:
    content = {"text": b"not an image", "empty": b"", "truncated": stack.read_bytes()[:-500]}
    stack.unlink()
    if damage != "missing":
        stack.write_bytes(content[damage])
    before = names(stack.parent)
    said = refused("segment", stack, "-o", stack.with_name("out.nii.gz"), "--model", model)
    assert "stack.nii.gz" in said
    assert names(stack.parent) == before


@pytest.fixture
def inside(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where the stack lies."""
    monkeypatch.chdir(stack.parent)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "stack.nii.gz"], "is already the input"),
        (["-o", "./link.nii.gz"], "is already the input"),
        (["-o", "out.nii.gz", "--uncertainty", "./out.nii.gz"], "already the file for the labels"),
        (["-o", "out.jpeg"], "choose a name that ends in .nii.gz"),
        (["-o", "out"], "choose a name that ends in .nii.gz"),
        (["-o", "missing/out.nii.gz"], "does not exist; create it"),
        (["-o", "folder.nrrd"], "is a folder"),
        (["-o", "out.nii.gz", "--uncertainty", "missing/u.nrrd"], "does not exist; create it"),
        (["-o", "out.nii.gz", "--frames", "1"], "no frame 1"),
        (["-o", "out.nii.gz", "--slices", "0,3"], "no slice 3"),
        (["-o", "out.nii.gz", "--series", "2"], "no series can be chosen"),
        (["-o", "out.nii.gz", "--model", "flomo-b0-acdcc"], "no model named 'flomo-b0-acdcc'"),
        (["-o", "out.nii.gz", "--model", "shelf/none"], "no model folder shelf/none"),
        (["-o", "out.png"], "PNG"),
        (["-o", "out.nrrd", "--probabilities", "p.nrrd"], "ends in .nii.gz or .nii"),
    ],
)
@pytest.mark.usefixtures("inside")
def test_bad_arguments_leave_no_file(
    stack: Path, model: Path, refused: Refused, arguments: list[str], sentence: str
) -> None:
    Path("folder.nrrd").mkdir()
    Path("link.nii.gz").symlink_to(stack)
    before = names(stack.parent)
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(model)]
    assert sentence in refused("segment", stack.name, *arguments)
    assert names(stack.parent) == before


def test_tampered_weights(stack: Path, tmp_path: Path, model: Path, refused: Refused) -> None:
    copy, out = shutil.copytree(model, tmp_path / "copy"), tmp_path / "out.nii.gz"
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert "SHA-256" in refused("segment", stack, "-o", out, "--model", copy)
    assert not out.exists()


def test_output_is_checked_first(
    stack: Path, model: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed in vain")

    monkeypatch.setattr(Segmenter, "segment", never)
    monkeypatch.setattr(Segmenter, "from_pretrained", never)
    refused("segment", stack, "-o", stack.with_name("missing") / "out.nii.gz", "--model", model)


@pytest.mark.parametrize("full_after", [0, 1, 2])
def test_full_disk(
    stack: Path, model: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, full_after: int
) -> None:
    """No file is left if the disk is full at the first, second or third file."""
    folder = stack.parent / "out"
    folder.mkdir()
    (folder / "l.nrrd").write_text("old")
    flushes, fsync = itertools.count(), os.fsync

    def full(descriptor: int) -> None:
        if next(flushes) >= full_after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    outputs = ["-o", folder / "l.nrrd", "--probabilities", folder / "p.nii"]
    outputs += ["--uncertainty", folder / "u.nrrd"]
    assert "disk is full" in refused("segment", stack, *outputs, "--model", model)
    assert names(folder) == ["l.nrrd"]
    assert (folder / "l.nrrd").read_text() == "old"


SLOW = """
import sys, time
from napari_flomo import cli
from napari_flomo.segmentation import segmenter
def slow(*arguments, **named):
    print("computing", flush=True)
    time.sleep(30)
segmenter.predict = slow
sys.exit(cli.main())
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(stack: Path, model: Path, start_python: Start) -> Start:
    """Start ``flomo segment`` on a slow network, and wait until it computes."""

    def run(**options: Any) -> subprocess.Popen[str]:
        arguments = ["segment", stack, "-o", stack.with_name("out.nii.gz"), "--model", model]
        child = start_python("-c", SLOW, *arguments, **options)
        assert child.stdout is not None
        assert child.stdout.readline() == "computing\n"
        return child

    return run


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)])
def test_interrupted(stack: Path, start: Start, name: str, code: int) -> None:
    child = start()
    child.send_signal(getattr(signal, name))
    _, err = child.communicate(timeout=60)
    assert child.returncode == code
    if name == "SIGINT":
        assert err == "flomo: Interrupted; no partial file was left.\n"
    assert names(stack.parent) == [stack.name]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
def test_progress_bar(start: Start) -> None:
    import pty
    import termios

    parent, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    child = start(stderr=terminal)
    os.close(terminal)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    shown = b""
    with contextlib.suppress(OSError):  # Linux reports the end of a pseudo-terminal as an error
        while chunk := os.read(parent, 4096):
            shown += chunk
    os.close(parent)
    assert b"Segmenting" in shown
    assert b"0/3" in shown
    assert shown.rstrip().endswith(b"flomo: Interrupted; no partial file was left.")


def test_maps_by_name(tmp_path: Path, stack: Path, model: Path, answer: Answer) -> None:
    labels, spread, own = (tmp_path / name for name in ("l.nii.gz", "v.nrrd", "c.nii.gz"))
    arguments = [stack, "-o", labels, "--model", model, "--device", "cpu"]
    arguments += ["--map", f"variance={spread}", "--map", f"network_correction={own}"]
    report = answer("segment", *arguments)
    assert report["outputs"]["map variance"] == str(spread)
    assert report["manifest"]["maps"] == ["entropy", "variance", "network_correction"]
    assert len(report["scores"]["expected_dice"]) == len(report["scores"]["structures"]) == 2
    maps = ["variance", "network_correction"]
    expected = Segmenter.from_pretrained(model, device="cpu").segment(read(stack), maps=maps)
    for name, path in zip(maps, (spread, own), strict=True):
        assert np.allclose(read(path).data, expected.uncertainty[name].data, atol=1e-6)


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        (["entropie=e.nrrd"], "no map called 'entropie'"),
        (["variance=a.nrrd", "variance=b.nrrd"], "requested twice"),
        (["variance=l.nii.gz"], "cannot hold the map variance: it is already the file"),
        (["variance=v.txt"], "cannot hold the map variance: choose a name"),
    ],
)
@pytest.mark.usefixtures("inside")
def test_wrong_maps(
    stack: Path, model: Path, refused: Refused, maps: list[str], sentence: str
) -> None:
    before = names(stack.parent)
    options = [word for one in maps for word in ("--map", one)]
    assert sentence in refused("segment", stack, "-o", "l.nii.gz", "--model", model, *options)
    assert names(stack.parent) == before


FIELD = Path(__file__).parents[1] / "fieldtests"


@pytest.fixture(scope="module")
def clean_ml() -> list[float]:
    """Millilitres of the undamaged original: 45.0, 60.8 and 99.9 with the first bundled model."""
    segmenter = Segmenter.from_pretrained(DEFAULT_MODEL, device="cpu")
    labels = segmenter.segment(read(FIELD / "_clean/heart.nii.gz")).labels
    structures = {label.code: label.name for label in segmenter.card.labels if label.code}
    return [one.ml or 0 for one in structure_volumes(labels, structures)]


@pytest.mark.parametrize(
    ("name", "noted"),
    [
        ("nifti_sform_unscaled/heart.nii.gz", "the pixdim was used"),
        ("nifti_pixdim_bad_sform_good/zero.nii.gz", "the sform was used"),
        ("nifti_pair/heart.img", ""),
    ],
)
def test_field_cases(
    name: str, noted: str, clean_ml: list[float], tmp_path: Path, flomo: Flomo
) -> None:
    command = ["segment", FIELD / name, "-o", tmp_path / "labels.nii.gz", "--device", "cpu"]
    printed, said = flomo(*command, "--json")
    report = json.loads(printed)
    assert [one["ml"] for one in report["volumes_ml"]] == pytest.approx(clean_ml, abs=0.05)
    assert min(clean_ml) > 20
    notes = report["manifest"]["input"]["notes"]
    assert len(notes) == bool(noted)
    assert said == "".join(f"Note: {one}\n" for one in notes)
    assert noted in said
    assert report["manifest"]["warnings"] == []


def test_implausible_heart(tmp_path: Path, flomo: Flomo) -> None:
    """A spacing that contradicts nothing but anatomy."""
    image = read(FIELD / "_clean/heart.nii.gz")
    write(Volume(image.data, Geometry((0.29, 0.29, 2.0))), tmp_path / "small.nii.gz")
    command = ["segment", tmp_path / "small.nii.gz", "-o", tmp_path / "l.nii.gz"]
    printed, said = flomo(*command, "--json", "--device", "cpu")
    warnings = json.loads(printed)["manifest"]["warnings"]
    assert len(warnings) == 2
    assert said.splitlines() == [f"Warning: {one}" for one in warnings]
    assert warnings[0].startswith("Pixels of 0.29 x 0.29 mm")
    assert "less than that of a newborn" in warnings[1]


def test_nan_outside_of_the_field_of_view(tmp_path: Path, flomo: Flomo) -> None:
    source, labels = FIELD / "nan_outside_field_of_view/heart.nii.gz", tmp_path / "l.nii.gz"
    said = flomo("segment", source, "-o", labels, "--device", "cpu")[1]
    assert "Note: 2192 voxels without a value" in said
    assert len(np.unique(read(labels).data)) == 4
