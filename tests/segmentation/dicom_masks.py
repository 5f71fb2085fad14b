"""Read DICOM segmentations independently of the code under test."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.volumes import Geometry, Volume, read, write


def labels_of(folder: Path) -> Volume:
    """Return labels of a series with codes 7 and 200 anywhere; the last slice but one is empty."""
    image = read(folder)
    data = np.random.default_rng(2).choice(np.array([0, 7, 200], np.uint8), image.data.shape)
    data[..., -2, :, :] = 0
    return image.with_data(data)


def segment_numbers(codes: np.ndarray) -> np.ndarray:
    """Return the segment numbers of the codes 7 and 200."""
    return np.select([codes == 7, codes == 200], [1, 2], 0)


def by_position(
    path: Path, geometry: Geometry, shape: tuple[int, ...], slack: float = 0.01
) -> np.ndarray:
    """Return segment numbers, each mask at its position in mm, within a share of the step."""
    found = pydicom.dcmread(path)
    to_index = np.linalg.inv(geometry.affine_lps())
    result = np.zeros(shape, np.uint8)
    pixels = found.pixel_array.reshape(-1, *shape[1:])
    for mask, groups in zip(pixels, found.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        column, row, number = (to_index @ [*place, 1])[:3]
        assert max(abs(column), abs(row), abs(number - round(number))) < slack
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        result[round(number)][mask > 0] = segment
    return result


def check_with_dcmqi(path: Path, labels: Volume, folder: Path) -> None:
    """Compare with what dcmqi reads; 3D Slicer uses it, and it shares no code with highdicom."""
    program = shutil.which("segimage2itkimage", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("dcmqi is not installed")
    write(labels, folder / "labels.nrrd")
    options = ["--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd"]
    subprocess.run([program, *options], check=True, capture_output=True)
    grid = sitk.ReadImage(folder / "labels.nrrd")
    for number, code in ((1, 7), (2, 200)):
        mask = sitk.ReadImage(folder / f"{number}.nrrd")
        mask = sitk.Resample(mask, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        assert np.array_equal(sitk.GetArrayFromImage(mask) > 0, labels.data == code)
