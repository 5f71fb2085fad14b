"""NRRD: axis orders, spaces and encodings that other programs write."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, read

DATA = np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5)  # frames, slices, rows, columns


def save(path: Path, data: np.ndarray, *lines: str, encoding: str = "raw", **fields: str) -> Path:
    """Write a header of ``fields`` (and further ``lines``), sizes from the array."""
    head = {
        "type": "short",
        "dimension": str(data.ndim),
        "space": "left-posterior-superior",
        "sizes": " ".join(str(length) for length in data.shape[::-1]),
        "space directions": "(2,0,0) (0,3,0) (0,0,4)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": encoding,
        "space origin": "(10,20,30)",
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    text = "\n".join(f"{name}: {value}" for name, value in head.items() if value)
    pack = {
        "raw": bytes,
        "gzip": gzip.compress,
        "bzip2": bz2.compress,
        "ascii": lambda _: " ".join(str(value) for value in data.ravel()).encode(),
    }[encoding]
    body = pack(data.tobytes())
    path.write_bytes(("\n".join(["NRRD0004", "# note", text, *lines]) + "\n\n").encode() + body)
    return path


def test_frames_first_as_slicer_writes_sequences(tmp_path: Path) -> None:
    path = save(
        tmp_path / "cine.seq.nrrd",
        np.ascontiguousarray(np.moveaxis(DATA, 0, -1)),
        "axis 0 index type:=numeric",
        "axis 0 index unit:=ms",
        "axis 0 index values:=0 33.5",
        "DataNodeClassName:=vtkMRMLScalarVolumeNode",
        kinds="list domain domain domain",
        labels='"frame" "" "" ""',
        space_directions="none (2,0,0) (0,3,0) (0,0,4)",
    )
    volume = read(path)
    assert volume.axes == ("frames", "slices", "rows", "columns")
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.frame_step == pytest.approx(0.0335)
    assert volume.geometry == Geometry((2, 3, 4), (10, 20, 30))


@pytest.mark.parametrize("kind", ["list", "time", "none"])
def test_frames_last(kind: str, tmp_path: Path) -> None:
    volume = read(
        save(
            tmp_path / "cine.nrrd",
            DATA,
            kinds=f"domain domain domain {kind}",
            space_directions="(2,0,0) (0,3,0) (0,0,4) none",
        )
    )
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.geometry == Geometry((2, 3, 4), (10, 20, 30))
    assert volume.frame_step is None


def test_one_slice_over_time(tmp_path: Path) -> None:
    volume = read(
        save(
            tmp_path / "cine.nrrd",
            DATA[:, 0],
            kinds="domain domain time",
            space_directions="(2,0,0) (0,0,-3) none",
        )
    )
    assert volume.data.shape == (2, 1, 4, 5)
    # The third axis is the normal of the other two.
    np.testing.assert_allclose(volume.geometry.direction_matrix[:, 2], (0, 1, 0), atol=1e-15)


@pytest.mark.parametrize(
    "space", ["left-posterior-superior", "right-anterior-superior", "RAS", "left-anterior-superior"]
)
def test_spaces_mean_what_itk_means(space: str, tmp_path: Path) -> None:
    path = save(
        tmp_path / "image.nrrd",
        DATA[0],
        space=space,
        space_directions="(0,2,0) (0,0,-3) (4.0,0,0)",
    )
    image = sitk.ReadImage(str(path))
    geometry = read(path).geometry
    assert geometry == Geometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection())


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read(save(tmp_path / "image.nrrd", DATA[0], encoding=encoding)).data, DATA[0]
    )


def test_big_endian_and_detached_data(tmp_path: Path) -> None:
    big = save(tmp_path / "big.nrrd", DATA[0].astype(">i2"), endian="big")
    np.testing.assert_array_equal(read(big).data, DATA[0])
    (tmp_path / "voxels.raw").write_bytes(b"head\nxx" + DATA[0].tobytes())
    for skips in ({"line_skip": "1", "byte_skip": "2"}, {"byte_skip": "-1"}):
        path = save(tmp_path / "image.nhdr", DATA[0], data_file="voxels.raw", **skips)
        np.testing.assert_array_equal(read(path).data, DATA[0])
    with pytest.raises(FlomoError, match=r"no file .*gone.raw"):
        read(save(tmp_path / "image.nhdr", DATA[0], data_file="gone.raw"))


def test_only_spacings_or_nothing_known(tmp_path: Path) -> None:
    plain = {"space": "", "space_directions": "", "space_origin": ""}
    path = save(tmp_path / "image.nrrd", DATA[0], spacings="2 3 4", **plain)
    assert read(path).geometry == Geometry((2, 3, 4))
    path = save(tmp_path / "image.nrrd", DATA[0], **plain)
    assert read(path).geometry == Geometry.unknown()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kinds": "domain domain RGB-color"}, "colours or vectors"),
        ({"kinds": "domain domain"}, "no direction for an axis"),
        ({"space_directions": "(2,0,0) (0,3,0) (0,0,0)"}, "no direction for an axis"),
        ({"space_directions": "(2,0,0) (0,3,0) (1,1,4)"}, "right angles"),
        ({"space": "scanner-xyz-time"}, "not supported"),
        ({"encoding_": "hex"}, "not supported"),
        ({"type": "block"}, "type 'block'"),
        ({"sizes": "5 4 -3"}, "empty"),
        ({"sizes": "5 4 three"}, "no dimension and sizes"),
        ({"sizes": "5 4"}, "2 sizes for 3 axes"),
        ({"data_file": "LIST"}, "several files"),
        ({"byte_skip": "many"}, "invalid byte skip"),
        ({"space_origin": "(1,2)"}, "space origin"),
        ({"space_directions": "(2,0,0) (0,nix,0) (0,0,4)"}, "no direction for an axis"),
    ],
)
def test_headers_that_make_no_image(fields: dict, words: str, tmp_path: Path) -> None:
    path = save(tmp_path / "image.nrrd", DATA[0], **fields)
    if "encoding_" in fields:
        path.write_bytes(path.read_bytes().replace(b"encoding: raw", b"encoding: hex"))
    with pytest.raises(FlomoError, match=words):
        read(path)


def test_colours_and_layers_are_not_frames(tmp_path: Path) -> None:
    path = save(
        tmp_path / "colour.nrrd",
        DATA,
        kinds="domain domain domain RGB-color",
        space_directions="(2,0,0) (0,3,0) (0,0,4) none",
    )
    with pytest.raises(FlomoError, match="colours or vectors"):
        read(path)
    path = save(
        tmp_path / "layers.seg.nrrd",
        np.ascontiguousarray(np.moveaxis(DATA, 0, -1)),
        "Segment0_ID:=a",
        "Segment1_ID:=b",
        kinds="list domain domain domain",
        space_directions="none (2,0,0) (0,3,0) (0,0,4)",
    )
    with pytest.raises(FlomoError, match="overlapping layers"):
        read(path)
