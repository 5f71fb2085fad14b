"""``flomo segment``: files, reports, errors and interruptions."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name for itself

from napari_flomo import DEFAULT_MODEL, cli
from napari_flomo.measures import structure_volumes
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume, read, write

Capture = pytest.CaptureFixture[str]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fails(capsys: Capture, *arguments: object) -> str:
    """Run, expect exit code 2 and one sentence; return it."""
    assert cli.main(["segment", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("flomo: ")
    assert err.count("\n") == 1, err
    return err


def test_writes_what_the_segmenter_returns(
    tmp_path: Path, stack: Path, model: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    labels, uncertainty, probabilities = out / "l.nii.gz", out / "u.nrrd", out / "p.nii.gz"
    arguments = [stack, "-o", labels, "--model", model, "--uncertainty", uncertainty]
    arguments += ["--probabilities", probabilities, "--device", "cpu"]
    assert cli.main(["segment", *map(str, arguments)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""  # no progress bar without a terminal
    assert f"Wrote the labels to {labels}" in printed.out
    assert "RV: " in printed.out
    assert names(out) == ["l.nii.gz", "p.nii.gz", "u.nrrd"]

    expected = Segmenter.from_pretrained(model, device="cpu").segment(read(stack))
    assert np.array_equal(read(labels).data, expected.labels.data)
    assert np.array_equal(read(uncertainty).data, expected.uncertainty["entropy"].data)
    assert np.array_equal(read(probabilities).data, expected.probabilities.data)
    assert len(np.unique(expected.labels.data)) > 1, "the test shows nothing on empty labels"

    image, mask = sitk.ReadImage(str(stack)), sitk.ReadImage(str(labels))
    assert mask.GetSize() == image.GetSize()
    assert mask.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-6)
    assert mask.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-5)
    assert mask.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)


def test_json(cine: Path, model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cine.parent)
    arguments = ["segment", cine.name, "-o", "labels.nii.gz", "--model", str(model), "--json"]
    assert cli.main([*arguments, "--frames", "1,3", "--slices", "0"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    assert report["input"] == "cine.nii.gz"
    assert report["outputs"] == {"labels": "labels.nii.gz"}  # as they were given
    assert report["manifest"]["model"]["name"] == "random"
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


def test_summary_of_a_cine(cine: Path, model: Path, capsys: Capture) -> None:
    arguments = ["segment", cine, "-o", cine.with_name("out.nii"), "--model", model]
    assert cli.main([*map(str, arguments), "--frames", "3"]) == 0
    assert "ED frame" not in capsys.readouterr().out, "one frame has no phase"
    assert cli.main([*map(str, arguments), "--frames", "1,3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  Left: EDV ") and " EF " in line for line in lines)
    assert lines[-1] in ("  ED frame 1, ES frame 3", "  ED frame 3, ES frame 1")


def test_quiet(stack: Path, model: Path, capsys: Capture) -> None:
    output = stack.with_name("out.nrrd")
    assert cli.main(["segment", str(stack), "-o", str(output), "--model", str(model), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert output.exists()


def test_partial_volumes(stack: Path, model: Path, capsys: Capture) -> None:
    arguments = ["segment", stack, "-o", stack.with_name("out.nii"), "--model", model]
    assert cli.main([*map(str, arguments), "--slices", "1"]) == 0
    assert "In the chosen slices only:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "stack.nii.gz"),
        (b"not an image at all", "stack.nii.gz"),
        (b"", "stack.nii.gz"),
        (gzip.compress(b"x" * 10_000)[:-20], "stack.nii.gz"),
    ],
    ids=["missing", "text", "empty", "truncated"],
)
def test_bad_input(
    tmp_path: Path, model: Path, capsys: Capture, content: bytes | None, sentence: str
) -> None:
    source, output = tmp_path / "stack.nii.gz", tmp_path / "out.nii.gz"
    if content is not None:
        source.write_bytes(content)
    before = names(tmp_path)
    assert sentence in fails(capsys, source, "-o", output, "--model", model)
    assert names(tmp_path) == before


def test_truncated_image(stack: Path, model: Path, capsys: Capture) -> None:
    stack.write_bytes(stack.read_bytes()[:-500])
    fails(capsys, stack, "-o", stack.with_name("out.nii.gz"), "--model", model)
    assert names(stack.parent) == [stack.name]


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
    stack: Path, model: Path, capsys: Capture, arguments: list[str], sentence: str
) -> None:
    Path("folder.nrrd").mkdir()
    Path("link.nii.gz").symlink_to(stack)
    before = names(stack.parent)
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(model)]
    assert sentence in fails(capsys, stack.name, *arguments)
    assert names(stack.parent) == before


def test_tampered_weights(stack: Path, tmp_path: Path, model: Path, capsys: Capture) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "card.json").write_bytes((model / "card.json").read_bytes())
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert "SHA-256" in fails(capsys, stack, "-o", tmp_path / "out.nii.gz", "--model", copy)
    assert not (tmp_path / "out.nii.gz").exists()


def test_output_is_checked_first(
    stack: Path, model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed in vain")

    monkeypatch.setattr(Segmenter, "segment", never)
    monkeypatch.setattr(Segmenter, "from_pretrained", never)
    fails(capsys, stack, "-o", stack.with_name("missing") / "out.nii.gz", "--model", model)


@pytest.mark.parametrize("full_after", [0, 1, 2])
def test_full_disk(
    stack: Path, model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, full_after: int
) -> None:
    """No file is left if the disk is full at the first, second or third file."""
    folder = stack.parent / "out"
    folder.mkdir()
    (folder / "l.nrrd").write_text("old")
    flushes = 0
    fsync = os.fsync

    def full(descriptor: int) -> None:
        nonlocal flushes
        flushes += 1
        if flushes > full_after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    outputs = ["-o", folder / "l.nrrd", "--probabilities", folder / "p.nii"]
    outputs += ["--uncertainty", folder / "u.nrrd"]
    assert "disk is full" in fails(capsys, stack, *outputs, "--model", model)
    assert names(folder) == ["l.nrrd"]
    assert (folder / "l.nrrd").read_text() == "old"


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path, model: Path) -> Start:
    """Start ``flomo segment`` on a slow network, which never gets to the end."""
    program = (
        "import sys, time\n"
        "from napari_flomo import cli\n"
        "from napari_flomo.segmentation import segmenter\n"
        "def slow(*arguments, **named):\n"
        "    print('computing', flush=True)\n"
        "    time.sleep(30)\n"
        "segmenter.predict = slow\n"
        "sys.exit(cli.main())\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def run(source: Path, **options: object) -> subprocess.Popen[bytes]:
        arguments = ["segment", source, "-o", tmp_path / "out.nii.gz", "--model", model]
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            env=environment,
            **options,
        )

    return run


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_interrupted(
    stack: Path, tmp_path: Path, start: Start, number: signal.Signals, code: int
) -> None:
    child = start(stack, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"computing\n"
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == code
    if number == signal.SIGINT:
        assert err == b"flomo: Interrupted; no partial file was left.\n"
    assert names(tmp_path) == [stack.name]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
def test_progress_bar(stack: Path, start: Start) -> None:
    import pty
    import termios

    parent, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    child = start(stack, stderr=terminal)
    os.close(terminal)
    assert child.stdout is not None
    assert child.stdout.readline() == b"computing\n"
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    shown = b""
    try:
        while chunk := os.read(parent, 4096):
            shown += chunk
    except OSError:  # Linux reports the end of a pseudo-terminal as an error
        pass
    finally:
        os.close(parent)
    child.wait(timeout=60)
    assert b"Segmenting" in shown
    assert b"0/3" in shown
    assert shown.rstrip().endswith(b"flomo: Interrupted; no partial file was left.")


def test_maps_by_name(tmp_path: Path, stack: Path, model: Path, capsys: Capture) -> None:
    labels, spread, own = (tmp_path / name for name in ("l.nii.gz", "v.nrrd", "c.nii.gz"))
    arguments = [stack, "-o", labels, "--model", model, "--device", "cpu", "--json"]
    arguments += ["--map", f"variance={spread}", "--map", f"network_correction={own}"]
    assert cli.main(["segment", *map(str, arguments)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["outputs"]["map variance"] == str(spread)
    assert report["manifest"]["maps"] == ["entropy", "variance", "network_correction"]
    assert len(report["scores"]["expected_dice"]) == len(report["scores"]["structures"]) == 2
    maps = ["variance", "network_correction"]
    expected = Segmenter.from_pretrained(model, device="cpu").segment(read(stack), maps=maps)
    for name, path in zip(maps, (spread, own), strict=True):
        assert np.allclose(read(path).data, expected.uncertainty[name].data, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        (["entropie=e.nrrd"], "no map called 'entropie'"),
        (["variance=a.nrrd", "variance=b.nrrd"], "requested twice"),
        (["variance=l.nii.gz"], "cannot hold the map variance: it is already the file"),
        (["variance=v.txt"], "cannot hold the map variance: choose a name"),
    ],
)
def test_wrong_maps(
    tmp_path: Path, stack: Path, model: Path, capsys: Capture, wrong: tuple[list[str], str]
) -> None:
    before = names(tmp_path)
    options = []
    for one in wrong[0]:
        name, _, file = one.partition("=")
        options += ["--map", f"{name}={tmp_path / file}"]
    said = fails(capsys, stack, "-o", tmp_path / "l.nii.gz", "--model", model, *options)
    assert wrong[1] in said
    assert names(tmp_path) == before


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
        ("nifti_qfac_zero/heart.nii.gz", ""),
        ("nifti_pair/heart.img", ""),
        ("gzip_nifti_without_suffix/MD5E-s75000--0123456789abcdef", ""),
    ],
)
def test_field_cases(
    name: str, noted: str, clean_ml: list[float], tmp_path: Path, capsys: Capture
) -> None:
    labels = tmp_path / "labels.nii.gz"
    command = ["segment", str(FIELD / name), "-o", str(labels), "--json", "--device", "cpu"]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert [one["ml"] for one in report["volumes_ml"]] == pytest.approx(clean_ml, abs=0.05)
    assert min(clean_ml) > 20
    notes = report["manifest"]["input"]["notes"]
    assert len(notes) == bool(noted)
    assert err == "".join(f"Note: {one}\n" for one in notes)
    assert noted in err
    assert report["manifest"]["warnings"] == []


def test_implausible_heart(tmp_path: Path, capsys: Capture) -> None:
    """A spacing that contradicts nothing but anatomy."""
    image = read(FIELD / "_clean/heart.nii.gz")
    write(Volume(image.data, Geometry((0.29, 0.29, 2.0))), tmp_path / "small.nii.gz")
    command = ["segment", str(tmp_path / "small.nii.gz"), "-o", str(tmp_path / "l.nii.gz")]
    assert cli.main([*command, "--json", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    warnings = json.loads(out)["manifest"]["warnings"]
    assert len(warnings) == 2
    assert err.splitlines() == [f"Warning: {one}" for one in warnings]
    assert warnings[0].startswith("Pixels of 0.29 x 0.29 mm")
    assert "less than that of a newborn" in warnings[1]


def test_nan_outside_of_the_field_of_view(tmp_path: Path, capsys: Capture) -> None:
    source = FIELD / "nan_outside_field_of_view/heart.nii.gz"
    command = ["segment", str(source), "-o", str(tmp_path / "l.nii.gz"), "--device", "cpu"]
    assert cli.main(command) == 0
    assert "Note: 2192 voxels without a value" in capsys.readouterr().err
    assert len(np.unique(read(tmp_path / "l.nii.gz").data)) == 4
