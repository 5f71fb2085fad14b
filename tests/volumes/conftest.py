"""What the tests of images share: grids of every kind, and a small DICOM writer.

The writer gives full control over every tag, and over what is wrong with it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_flomo.volumes import Geometry, Volume, read

MR = "1.2.840.10008.5.1.4.1.1.4"
_TEXT_TAGS = {  # tag: value representation
    "0008,0008": "CS",
    "0008,0016": "UI",
    "0008,0018": "UI",
    "0008,0060": "CS",
    "0010,0010": "PN",
    "0018,0050": "DS",
    "0018,0086": "IS",
    "0018,0088": "DS",
    "0018,1060": "DS",
    "0018,1063": "DS",
    "0020,000d": "UI",
    "0020,000e": "UI",
    "0020,0011": "IS",
    "0020,0013": "IS",
    "0020,0032": "DS",
    "0020,0037": "DS",
    "0020,0100": "IS",
    "0028,0004": "CS",
    "0028,0008": "IS",
    "0028,0030": "DS",
    "0028,1052": "DS",
    "0028,1053": "DS",
}


_angle = st.floats(-np.pi, np.pi)
_step = st.floats(0.01, 100)
_place = st.floats(-2000, 2000)


@st.composite
def _geometries(draw: st.DrawFn) -> Geometry:
    matrix = Rotation.from_euler("xyz", [draw(_angle), draw(_angle), draw(_angle)]).as_matrix()
    matrix = matrix[:, draw(st.permutations([0, 1, 2]))]  # some are left-handed
    return Geometry(
        (draw(_step), draw(_step), draw(_step)),
        (draw(_place), draw(_place), draw(_place)),
        tuple(matrix.ravel()),
    )


@pytest.fixture(scope="session")
def geometries() -> st.SearchStrategy[Geometry]:
    """Grids of any direction, handedness, spacing and place."""
    return _geometries()


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., None]:
    """The writer of DICOM files: path, pixels, tags."""
    return _write_dicom


def _write_dicom(path: Path, pixels: np.ndarray | None, tags: dict[str, object]) -> None:
    """Write a little-endian file; ``pixels`` (frames?, rows, columns, 3?) have 8 or 16 bits."""
    sop_class = str(tags.get("0008,0016", MR))
    everything: dict[str, object] = {
        "0008,0016": sop_class,
        "0008,0018": f"1.2.3.{abs(hash(str(path))) % 10**9}",
        "0008,0060": "MR",
        "0010,0010": "Doe^Jane",
        "0020,000d": "1.2.3",
        "0020,000e": "1.2.3.4",
        "0020,0011": "7",
        **tags,
    }
    body = {tag: _text(tag, value) for tag, value in everything.items() if value is not None}
    if pixels is not None:
        samples = 3 if pixels.shape[-1] == 3 and pixels.dtype == np.uint8 else 1
        rows, columns = pixels.shape[-3:-1] if samples == 3 else pixels.shape[-2:]
        bits = pixels.dtype.itemsize * 8
        body.setdefault("0028,0004", _text("0028,0004", "RGB" if samples == 3 else "MONOCHROME2"))
        for tag, number in {
            "0028,0002": samples,
            "0028,0010": rows,
            "0028,0011": columns,
            "0028,0100": bits,
            "0028,0101": bits,
            "0028,0102": bits - 1,
            "0028,0103": int(pixels.dtype.kind == "i"),
        }.items():
            body[tag] = _element(tag, "US", struct.pack("<H", number))
        if samples == 3:
            body["0028,0006"] = _element("0028,0006", "US", struct.pack("<H", 0))
        body["7fe0,0010"] = _element("7fe0,0010", "OW", pixels.tobytes())
    meta = b"".join(
        _element(tag, "UI", _pad(text, b"\0"))
        for tag, text in (
            ("0002,0002", sop_class),
            ("0002,0003", str(everything["0008,0018"])),
            ("0002,0010", "1.2.840.10008.1.2.1"),
            ("0002,0012", "1.2.3.99"),
        )
    )
    meta = _element("0002,0001", "OB", b"\0\1") + meta
    meta = _element("0002,0000", "UL", struct.pack("<I", len(meta))) + meta
    path.write_bytes(bytes(128) + b"DICM" + meta + b"".join(body[tag] for tag in sorted(body)))


def _text(tag: str, value: object) -> bytes:
    if isinstance(value, tuple | list):
        value = "\\".join(str(item) for item in value)
    kind = _TEXT_TAGS[tag]
    return _element(tag, kind, _pad(str(value), b"\0" if kind == "UI" else b" "))


def _pad(text: str, filler: bytes) -> bytes:
    data = text.encode("ascii")
    return data + filler * (len(data) % 2)


def _element(tag: str, kind: str, value: bytes) -> bytes:
    group, element = (int(part, 16) for part in tag.split(","))
    head = struct.pack("<HH", group, element) + kind.encode()
    if kind in ("OB", "OW"):
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


@pytest.fixture(scope="session")
def cine_files(repository: Path) -> list[Path]:
    """A DICOM cine of 3 slices and 3 phases, slice by slice."""
    return sorted((repository / "tests" / "fieldtests" / "_clean" / "cine").iterdir())


@pytest.fixture(scope="session")
def cine(cine_files: list[Path]) -> Volume:
    """The volume of that cine."""
    return read(cine_files[0].parent)


@pytest.fixture
def export(cine_files: list[Path], tmp_path: Path) -> Callable[..., Path]:
    """Write that cine with changes.

    ``change`` gets each image, its slice and its phase; where it returns False, the image is left
    out. All go into the folder ``study``, or where ``place`` says of slice and phase.
    """
    import pydicom

    def write(
        change: Callable[[Any, int, int], object] = lambda *_: None,
        place: Callable[[int, int], str] = lambda *_: "study",
        prefix: str = "IM",
    ) -> Path:
        for number, file in enumerate(cine_files):
            slice_, phase = divmod(number, 3)
            one = pydicom.dcmread(file)
            if change(one, slice_, phase) is False:
                continue
            path = tmp_path / place(slice_, phase) / f"{prefix}{number:04}"
            path.parent.mkdir(parents=True, exist_ok=True)
            one.save_as(path)
        return tmp_path / "study"

    return write
