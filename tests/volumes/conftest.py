"""Grids of every kind, a small DICOM writer, and a DICOM cine to change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_flomo.volumes import Geometry, Volume, read

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
    """Write a little-endian file; ``pixels`` (frames?, rows, columns, 3?) have 8 or 16 bits.

    ``tags`` are elements by keyword; None leaves one out.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    one = pydicom.Dataset()
    elements: dict[str, object] = {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": f"1.2.3.{abs(hash(str(path))) % 10**9}",
        "Modality": "MR",
        "PatientName": "Doe^Jane",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SeriesNumber": "7",
    }
    if pixels is not None:
        is_colour = pixels.shape[-1] == 3 and pixels.dtype == np.uint8
        rows, columns = pixels.shape[-3:-1] if is_colour else pixels.shape[-2:]
        bits = pixels.dtype.itemsize * 8
        elements |= {
            "SamplesPerPixel": 3 if is_colour else 1,
            "PhotometricInterpretation": "RGB" if is_colour else "MONOCHROME2",
            "Rows": rows,
            "Columns": columns,
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
        }
        if is_colour:
            elements["PlanarConfiguration"] = 0
        one.add_new("PixelData", "OW", pixels.tobytes())
    for keyword, value in (elements | tags).items():
        if value is not None:
            setattr(one, keyword, value)
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="session")
def cine_files(cases: Path) -> list[Path]:
    """A DICOM cine of 3 slices and 3 phases, slice by slice."""
    return sorted((cases / "_clean" / "cine").iterdir())


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
