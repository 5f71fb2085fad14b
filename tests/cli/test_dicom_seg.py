"""DICOM segmentations on the command line, of synthetic and real series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed")

import pydicom

from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import find_series, read

Flomo = Callable[..., tuple[str, str]]
Refused = Callable[..., str]
Write = Callable[..., object]


@pytest.fixture
def series(tmp_path: Path, write_series: Write) -> Path:
    data = np.random.default_rng(0).integers(0, 900, (2, 3, 40, 44)).astype(np.int16)
    write_series(tmp_path / "series", data)
    return tmp_path / "series"


def masks(path: Path, images: Path, frame: int = 0) -> np.ndarray:
    """Return segment numbers in the order of the images that the object refers to."""
    import highdicom

    uids = [pydicom.dcmread(file).SOPInstanceUID for file in find_series(images).files[frame]]
    return highdicom.seg.segread(path).get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )


def segments_of(labels: Path, frame: int) -> np.ndarray:
    """Return the numbers of the segments that the codes 1 and 5 of a frame become."""
    codes = read(labels).data[frame]
    return np.select([codes == 1, codes == 5], [1, 2], 0)


def test_segment_with_dicom_seg(
    series: Path, model: Path, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    arguments = [series, "-o", out / "l.nii.gz", "--model", model, "--dicom-seg", out / "l.dcm"]
    outputs = answer("segment", *arguments, "--frames", "1")["outputs"]
    path = out / "l-frame-01.dcm"
    assert outputs["DICOM segmentation of frame 1"] == str(path)
    assert sorted(one.name for one in out.iterdir()) == ["l-frame-01.dcm", "l.nii.gz"]
    assert np.array_equal(masks(path, series, 1), segments_of(out / "l.nii.gz", 1))


def test_corrected_labels(series: Path, model: Path, tmp_path: Path, flomo: Flomo) -> None:
    labels = tmp_path / "l.nii.gz"
    flomo("segment", series, "-o", labels, "--model", model, "-q")
    arguments = [labels, "--images", series, "--model", model, "-o", tmp_path / "c.dcm"]
    printed = flomo("dicom-seg", *arguments)[0]
    for frame in range(2):
        path = tmp_path / f"c-frame-{frame:02}.dcm"
        assert str(path) in printed
        assert np.array_equal(masks(path, series, frame), segments_of(labels, frame))
        segments = pydicom.dcmread(path).SegmentSequence
        assert {one.SegmentAlgorithmType for one in segments} == {"SEMIAUTOMATIC"}
    flomo("dicom-seg", *arguments, "--automatic", "--frames", "0", "-q")
    segments = pydicom.dcmread(tmp_path / "c-frame-00.dcm").SegmentSequence
    assert {one.SegmentAlgorithmType for one in segments} == {"AUTOMATIC"}


def test_file_name_is_checked_first(
    series: Path, model: Path, tmp_path: Path, refused: Refused, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Segmenter, "segment", None)
    arguments = [series, "-o", tmp_path / "out.nii.gz", "--model", model]
    complaints = {"l.nii.gz": "ends in .dcm", "gone/l.dcm": "gone", "out.nii.gz": "already"}
    for name, complaint in complaints.items():
        assert complaint in refused("segment", *arguments, "--dicom-seg", tmp_path / name)


def test_not_a_dicom_series(
    stack: Path, model: Path, tmp_path: Path, refused: Refused, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Segmenter, "segment", None)
    arguments = ["-o", tmp_path / "l.nii.gz", "--model", model, "--dicom-seg", tmp_path / "l.dcm"]
    assert "choose the folder that holds the DICOM series" in refused("segment", stack, *arguments)
    assert not (tmp_path / "l.nii.gz").exists()
    said = refused("dicom-seg", stack, "--images", stack, "-o", tmp_path / "l.nii")
    assert "must end in .dcm" in said
