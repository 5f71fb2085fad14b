"""DICOM segmentations on the command line, of synthetic and real series."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed")

import pydicom

from napari_flomo import cli
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import find_series, read

Capture = pytest.CaptureFixture[str]
Write = Callable[..., object]


@pytest.fixture
def series(tmp_path: Path, write_series: Write) -> Path:
    data = np.random.default_rng(0).integers(0, 900, (2, 3, 40, 44)).astype(np.int16)
    write_series(tmp_path / "series", data)
    return tmp_path / "series"


def flomo(*arguments: object) -> int:
    return cli.main([*map(str, arguments)])


def masks(path: Path, images: Path, frame: int = 0) -> np.ndarray:
    """Return segment numbers in the order of the images that the object refers to."""
    import highdicom

    uids = [pydicom.dcmread(file).SOPInstanceUID for file in find_series(images).files[frame]]
    return highdicom.seg.segread(path).get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )


def test_segment_with_dicom_seg(series: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    out.mkdir()
    arguments = [series, "-o", out / "l.nii.gz", "--model", model, "--dicom-seg", out / "l.dcm"]
    assert flomo("segment", *arguments, "--json", "--frames", "1") == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    path = out / "l-frame-01.dcm"
    assert outputs["DICOM segmentation of frame 1"] == str(path)
    assert sorted(one.name for one in out.iterdir()) == ["l-frame-01.dcm", "l.nii.gz"]
    labels = read(out / "l.nii.gz").data[1]
    wanted = np.select([labels == 1, labels == 5], [1, 2], 0)
    assert np.array_equal(masks(path, series, 1), wanted)


def test_corrected_labels(series: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    labels = tmp_path / "l.nii.gz"
    assert flomo("segment", series, "-o", labels, "--model", model, "-q") == 0
    arguments = [labels, "--images", series, "--model", model, "-o", tmp_path / "c.dcm"]
    assert flomo("dicom-seg", *arguments) == 0
    printed = capsys.readouterr().out
    for frame in range(2):
        path = tmp_path / f"c-frame-{frame:02}.dcm"
        assert str(path) in printed
        codes = read(labels).data[frame]
        assert np.array_equal(
            masks(path, series, frame), np.select([codes == 1, codes == 5], [1, 2], 0)
        )
        segments = pydicom.dcmread(path).SegmentSequence
        assert {one.SegmentAlgorithmType for one in segments} == {"SEMIAUTOMATIC"}
    assert flomo("dicom-seg", *arguments, "--automatic", "--frames", "0", "-q") == 0
    segments = pydicom.dcmread(tmp_path / "c-frame-00.dcm").SegmentSequence
    assert {one.SegmentAlgorithmType for one in segments} == {"AUTOMATIC"}


def test_file_name_is_checked_first(
    series: Path, model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Segmenter, "segment", None)
    arguments = [series, "-o", tmp_path / "out.nii.gz", "--model", model]
    complaints = {"l.nii.gz": "ends in .dcm", "gone/l.dcm": "gone", "out.nii.gz": "already"}
    for name, complaint in complaints.items():
        assert flomo("segment", *arguments, "--dicom-seg", tmp_path / name) == 2
        assert complaint in capsys.readouterr().err


def test_not_a_dicom_series(
    stack: Path, model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Segmenter, "segment", None)
    arguments = ["-o", tmp_path / "l.nii.gz", "--model", model, "--dicom-seg", tmp_path / "l.dcm"]
    assert flomo("segment", stack, *arguments) == 2
    assert "choose the folder that holds the DICOM series" in capsys.readouterr().err
    assert not (tmp_path / "l.nii.gz").exists()
    assert flomo("dicom-seg", stack, "--images", stack, "-o", tmp_path / "l.nii") == 2
    assert "must end in .dcm" in capsys.readouterr().err


@pytest.mark.shared
def test_a_real_cine(shared: Path, tmp_path: Path, model: Path, capsys: Capture) -> None:
    folder = shared / "data" / "sunnybrook" / "dicom" / "SC-HF-I-1"
    out = [tmp_path / "l.nii.gz", "--dicom-seg", tmp_path / "l.dcm"]
    arguments = ["--frames", "9", "--slices", "4,5", "--model", model]
    assert flomo("segment", folder, "-o", *out, *arguments) == 0
    labels = read(tmp_path / "l.nii.gz").data[9]
    wanted = np.select([labels == 1, labels == 5], [1, 2], 0)
    assert wanted.any()
    assert np.array_equal(masks(tmp_path / "l-frame-09.dcm", folder, 9), wanted)
    said = capsys.readouterr()
    assert "SCD" not in said.out + said.err, "nothing of the patient is printed"
