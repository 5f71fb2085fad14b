"""NRRD: axis orders, spaces and encodings that other programs write."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, read, write

DATA = np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5)  # frames, slices, rows, columns
FRAMES_LAST = np.ascontiguousarray(np.moveaxis(DATA, 0, -1))  # the first axis of a file
GRID = Geometry((2, 3, 4), (10, 20, 30))
CINE = {"space_directions": "(2,0,0) (0,3,0) (0,0,4) none", "kinds": "domain domain domain time"}
PACK = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}


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
    if encoding in PACK:
        body = PACK[encoding](data.tobytes())
    else:
        body = " ".join(str(value) for value in data.ravel()).encode()
    path.write_bytes(("\n".join(["NRRD0004", "# note", text, *lines]) + "\n\n").encode() + body)
    return path


def test_frames_first_as_slicer_writes_sequences(tmp_path: Path) -> None:
    path = save(
        tmp_path / "cine.seq.nrrd",
        FRAMES_LAST,
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
    assert volume.geometry == GRID


@pytest.mark.parametrize("kind", ["list", "time", "none"])
def test_frames_last(kind: str, tmp_path: Path) -> None:
    fields = CINE | {"kinds": f"domain domain domain {kind}"}
    volume = read(save(tmp_path / "cine.nrrd", DATA, **fields))
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.geometry == GRID
    assert volume.frame_step is None


def test_options_of_pynrrd_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(DATA, Geometry((2, 3, 4)), ("frames", "slices", "rows", "columns"))
    write(volume, tmp_path / "before.nrrd")
    monkeypatch.setattr(nrrd, "SPACE_DIRECTIONS_TYPE", "double vector list")
    write(volume, tmp_path / "after.nrrd")
    assert (tmp_path / "after.nrrd").read_bytes() == (tmp_path / "before.nrrd").read_bytes()
    np.testing.assert_array_equal(read(tmp_path / "after.nrrd").data, DATA)


def test_one_slice_over_time(tmp_path: Path) -> None:
    fields = {"kinds": "domain domain time", "space_directions": "(2,0,0) (0,0,-3) none"}
    volume = read(save(tmp_path / "cine.nrrd", DATA[:, 0], **fields))
    assert volume.data.shape == (2, 1, 4, 5)
    # The third axis is the normal of the other two.
    np.testing.assert_allclose(volume.geometry.direction_matrix[:, 2], (0, 1, 0), atol=1e-15)


@pytest.mark.parametrize(
    "space", ["left-posterior-superior", "right-anterior-superior", "RAS", "left-anterior-superior"]
)
def test_spaces_as_in_itk(space: str, tmp_path: Path) -> None:
    fields = {"space": space, "space_directions": "(0,2,0) (0,0,-3) (4.0,0,0)"}
    path = save(tmp_path / "image.nrrd", DATA[0], **fields)
    image = sitk.ReadImage(str(path))
    geometry = read(path).geometry
    assert geometry == Geometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection())


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = save(tmp_path / "image.nrrd", DATA[0], encoding=encoding)
    np.testing.assert_array_equal(read(path).data, DATA[0])


def test_big_endian_and_detached_data(tmp_path: Path) -> None:
    big = save(tmp_path / "big.nrrd", DATA[0].astype(">i2"), endian="big")
    np.testing.assert_array_equal(read(big).data, DATA[0])
    (tmp_path / "voxels.raw").write_bytes(b"head\nxx" + DATA[0].tobytes())
    for skips in ({"line_skip": "1", "byte_skip": "2"}, {"byte_skip": "-1"}):
        path = save(tmp_path / "image.nhdr", DATA[0], data_file="voxels.raw", **skips)
        np.testing.assert_array_equal(read(path).data, DATA[0])
    with pytest.raises(FlomoError, match=r"gone.raw, which is missing"):
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
        ({"kinds": "domain domain"}, "no direction or no kind"),
        ({"space_directions": "(2,0,0) (0,3,0) (0,0,0)"}, "no direction for an axis"),
        ({"space_directions": "(2,0,0) (0,3,0) (1,1,4)"}, "right angles"),
        ({"space": "scanner-xyz-time"}, "not supported"),
        ({"type": "block"}, "type 'block'"),
        ({"sizes": "5 4 -3"}, "empty"),
        ({"sizes": "5 4 three"}, "no valid sizes"),
        ({"sizes": "5 4"}, "2 sizes for 3 axes"),
        ({"byte_skip": "many"}, "no valid byte skip"),
        ({"space_origin": "(1,2)"}, "space origin"),
        ({"Sizes": "5 4 3"}, "two fields sizes"),
        ({"space_directions": "(2,0,0) (0,nix,0) (0,0,4)"}, "no valid space directions"),
    ],
)
def test_headers_without_a_valid_image(fields: dict, words: str, tmp_path: Path) -> None:
    path = save(tmp_path / "image.nrrd", DATA[0], **fields)
    with pytest.raises(FlomoError, match=words):
        read(path)


def detached(path: Path, data: np.ndarray, text: str, *names: str, **fields: str) -> Path:
    """Write a header alone, with ``data file: text`` as its last field and names behind it."""
    save(path, data, **fields)
    head = path.read_bytes().partition(b"\n\n")[0].decode()
    path.write_text("\n".join([head, f"data file: {text}", *names, ""]))
    return path


def test_a_list_of_files(tmp_path: Path) -> None:
    for number, part in enumerate(DATA[0]):
        (tmp_path / f"s {number}.raw").write_bytes(part.tobytes())
    names = [f"s {number}.raw" for number in range(3)]
    volume = read(detached(tmp_path / "slices.nhdr", DATA[0], "LIST", *names))
    np.testing.assert_array_equal(volume.data, DATA[0])
    assert volume.geometry == GRID
    with pytest.raises(FlomoError, match="cannot be divided among 2 data files"):
        read(detached(tmp_path / "two.nhdr", DATA[0], "LIST", *names[:2]))
    with pytest.raises(FlomoError, match=r".*s 7\.raw, which is missing"):
        read(detached(tmp_path / "gone.nhdr", DATA[0], "LIST", *names[:2], "s 7.raw"))
    (tmp_path / "s 1.raw").write_bytes(DATA[0, 1].tobytes()[:-2])
    with pytest.raises(FlomoError, match=r"s 1\.raw cannot be read"):
        read(detached(tmp_path / "slices.nhdr", DATA[0], "LIST", *names))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_numbered_files(encoding: str, tmp_path: Path) -> None:
    pack = PACK[encoding]
    for number, frame in enumerate(DATA):
        head = b"its own header"
        (tmp_path / f"f{2 * number + 7:03}.raw").write_bytes(pack(head + frame.tobytes()))
    fields = CINE | {"encoding": encoding, "byte_skip": "-1"}
    path = detached(tmp_path / "cine.nhdr", DATA, "f%03d.raw 7 9 2 3", **fields)
    np.testing.assert_array_equal(read(path).data, DATA)
    for slice_, number in zip(DATA[0], (3, 2, 1), strict=True):
        (tmp_path / f"z{number}").write_bytes(pack(slice_.tobytes()))
    path = detached(tmp_path / "down.nhdr", DATA[0], "z%d 3 1 -1", encoding=encoding)
    np.testing.assert_array_equal(read(path).data, DATA[0])


def test_a_percent_sign_without_a_pattern(tmp_path: Path) -> None:
    for name in ("77 %.raw", "100%d.raw", "%03d 1 2"):
        (tmp_path / name).write_bytes(DATA[0].tobytes())
        path = detached(tmp_path / "image.nhdr", DATA[0], name)
        np.testing.assert_array_equal(read(path).data, DATA[0])


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
@pytest.mark.parametrize("skip", ["-1", "352"])
def test_skipped_bytes_are_decompressed_bytes(encoding: str, skip: str, tmp_path: Path) -> None:
    """As of a packed NIfTI whose voxels an NRRD header describes."""
    noise = np.random.default_rng(0).integers(0, 255, 352, np.uint8).tobytes()
    pack = PACK[encoding]
    (tmp_path / "image.nii.gz").write_bytes(pack(noise + DATA[0].tobytes()))
    fields = {"encoding": encoding, "byte_skip": skip}
    path = detached(tmp_path / "image.nhdr", DATA[0], "image.nii.gz", **fields)
    np.testing.assert_array_equal(read(path).data, DATA[0])
    # Members of gzip and bzip2 may follow each other in a file.
    whole = noise + DATA[0].tobytes()
    members = pack(whole[:400]) + pack(whole[400:])
    (tmp_path / "image.nii.gz").write_bytes(members)
    np.testing.assert_array_equal(read(path).data, DATA[0])
    (tmp_path / "image.nii.gz").write_bytes(members[:-1])
    with pytest.raises(FlomoError, match="damaged or truncated"):
        read(path)
    attached = tmp_path / "image.nrrd"
    head = save(attached, DATA[0], **fields, line_skip="1").read_bytes().partition(b"\n\n")[0]
    attached.write_bytes(head + b"\n\na line\n" + members)
    np.testing.assert_array_equal(read(attached).data, DATA[0])


def test_another_header_before_the_voxels_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "image.raw").write_bytes(bytes(352) + DATA[0].tobytes())
    with pytest.raises(FlomoError, match="holds 472 bytes of voxels, but its header declares 120"):
        read(detached(tmp_path / "image.nhdr", DATA[0], "image.raw"))


def test_text_numbers_must_fit_their_type(tmp_path: Path) -> None:
    path = save(tmp_path / "image.nrrd", DATA[0], encoding="ascii")
    whole = path.read_bytes()
    for wrong in (b" 70059", b" 5.9", b" x", b" 59 60"):
        path.write_bytes(whole.removesuffix(b" 59") + wrong)
        with pytest.raises(FlomoError, match="damaged or truncated"):
            read(path)


@pytest.mark.parametrize("order", ["little", "big"])
def test_hexadecimal(order: str, tmp_path: Path) -> None:
    path = save(tmp_path / "image.nrrd", DATA[0], endian=order)
    data = DATA[0].astype(">i2" if order == "big" else "<i2")
    head = path.read_bytes().replace(b"encoding: raw", b"encoding: hex").partition(b"\n\n")[0]
    path.write_bytes(head + b"\n\n" + data.tobytes().hex(" ", 30).encode() + b"\n")
    np.testing.assert_array_equal(read(path).data, DATA[0])


def test_cines_by_itk(tmp_path: Path, cases: Path) -> None:
    assert read(cases / "nrrd_written_by_simpleitk_4d" / "cine.nrrd").data.shape == (2, 2, 112, 112)
    for step, told in ((0.04, 0.04), (1.0, None)):
        parts = [sitk.GetImageFromArray(frame) for frame in DATA]
        for part in parts:
            part.SetSpacing((2, 3, 4))
            part.SetOrigin((10, 20, 30))
        sitk.WriteImage(sitk.JoinSeries(parts, 0.0, step), str(tmp_path / "cine.nrrd"))
        volume = read(tmp_path / "cine.nrrd")
        np.testing.assert_array_equal(volume.data, DATA)
        assert volume.geometry == GRID
        assert volume.frame_step == told
    flat = sitk.GetImageFromArray(DATA[0, 0])
    flat.SetSpacing((2, 3))
    flat.SetOrigin((10, 20))
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    assert read(tmp_path / "flat.nrrd").geometry == Geometry((2, 3, 1), (10, 20, 0))


def test_a_space_with_time(tmp_path: Path) -> None:
    directions = "(0,0,0,25) (-2,0,0,0) (0,-3,0,0) (0,0,4,0)"
    path = save(
        tmp_path / "cine.nrrd",
        FRAMES_LAST,
        space="right-anterior-superior-time",
        kinds="domain domain domain domain",
        space_directions=directions,
        space_origin="(-10,-20,30,0)",
        space_units='"mm" "mm" "mm" "ms"',
    )
    volume = read(path)
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.geometry == GRID
    assert volume.frame_step == pytest.approx(0.025)
    slanted = directions.replace("(0,0,4,0)", "(0,0,4,1)")
    with pytest.raises(FlomoError, match="in space"):
        read(save(tmp_path / "cine.nrrd", DATA, space_directions=slanted, kinds="domain " * 4))


def test_lengths_in_another_unit(tmp_path: Path) -> None:
    path = tmp_path / "image.nrrd"
    directions = "(0.2,0,0) (0,0.3,0) (0,0,0.4)"
    fields = {"space_directions": directions, "space_origin": "(1,2,3)", "space_units": '"cm" ' * 3}
    volume = read(save(path, DATA[0], **fields))
    assert volume.geometry.same_space(GRID)
    assert "in cm" in volume.notes[0]
    assert read(save(path, DATA[0], space_units='"mm" "mm" "mm"')).notes == ()
    micrometres = {"space_directions": "(2e3,0,0) (0,3e3,0) (0,0,4e3)", "space_units": '"μm" ' * 3}
    assert read(save(path, DATA[0], **micrometres)).geometry.spacing == pytest.approx((2, 3, 4))


def test_errors_in_unused_fields_are_ignored(tmp_path: Path) -> None:
    path = save(
        tmp_path / "image.nrrd",
        DATA[0],
        thicknesses="none 3",
        measurement_frame="(1,0)",
        labels='"x" "y',
        Content="a:=b",
        space_directions="(2, 0, 0) (0, 3, 0) (0, 0, 4)",
    )
    assert read(path).geometry == GRID


def test_files_contain_no_date(tmp_path: Path) -> None:
    volume = Volume(DATA, Geometry((2, 3, 4)), ("frames", "slices", "rows", "columns"))
    for compress in (True, False):
        write(volume, tmp_path / "image.nrrd", compress=compress)
        head = (tmp_path / "image.nrrd").read_bytes().partition(b"\n\n")[0]
        assert b"#" not in head
        assert b"20" not in head


def test_voxels_that_look_like_a_comment_are_written(tmp_path: Path) -> None:
    data = np.full((2, 3, 4), ord("#"), np.uint8)
    write(Volume(data, Geometry((2, 3, 4))), tmp_path / "image.nrrd", compress=False)
    np.testing.assert_array_equal(read(tmp_path / "image.nrrd").data, data)


def test_an_unknown_encoding(tmp_path: Path) -> None:
    path = save(tmp_path / "image.nrrd", DATA[0])
    path.write_bytes(path.read_bytes().replace(b"encoding: raw", b"encoding: zrl"))
    with pytest.raises(FlomoError, match="encoding 'zrl', which is not supported"):
        read(path)


def test_colours_and_layers_are_not_frames(tmp_path: Path) -> None:
    fields = CINE | {"kinds": "domain domain domain RGB-color"}
    path = save(tmp_path / "colour.nrrd", DATA, **fields)
    with pytest.raises(FlomoError, match="colours or vectors"):
        read(path)
    fields = {"kinds": "list domain domain domain"}
    fields["space_directions"] = "none (2,0,0) (0,3,0) (0,0,4)"
    segments = ("Segment0_ID:=a", "Segment1_ID:=b")
    path = save(tmp_path / "layers.seg.nrrd", FRAMES_LAST, *segments, **fields)
    with pytest.raises(FlomoError, match="overlapping layers"):
        read(path)
