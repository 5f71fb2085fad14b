"""Real scans: ACDC, and a Sunnybrook cine as it left the scanner."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.volumes import Volume, read, write

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def cine(shared: Path) -> Volume:
    return read(shared / "data/sunnybrook/dicom/SC-HF-I-1")


def test_the_cine_is_sorted(cine: Volume) -> None:
    assert cine.axes == ("frames", "slices", "rows", "columns")
    assert cine.data.shape == (10, 12, 256, 256)
    assert cine.data.dtype == np.int16
    assert cine.modality == "MR"
    np.testing.assert_allclose(cine.geometry.spacing, (1.367188, 1.367188, 10), rtol=1e-5)
    # 20 phases per heartbeat of about 0.76 s, of which every second one is kept.
    assert cine.frame_step == pytest.approx(0.076, abs=0.001)


def test_the_cine_and_its_volumes_are_the_same_scan(cine: Volume, shared: Path) -> None:
    """End systole is phase 8 of 20, counted from 1, so the fourth of the even phases kept here.

    End diastole is phase 19 and not in the folder: it must lie closest to its neighbours.
    """
    systole = read(shared / "data/sunnybrook/images/SC-HF-I-1_ES.nii.gz")
    diastole = read(shared / "data/sunnybrook/images/SC-HF-I-1_ED.nii.gz")
    assert systole.geometry.same_space(cine.geometry, 1e-4)
    np.testing.assert_array_equal(cine.frame(3).data, systole.data)
    far = [np.abs(frame.astype(int) - diastole.data).mean() for frame in cine.data]
    assert set(np.argsort(far)[:2]) == {8, 9}
    assert min(far) > 0


@pytest.mark.parametrize("data", ["acdc", "sunnybrook"])
def test_images_and_their_labels(shared: Path, tmp_path: Path, data: str) -> None:
    folder = shared / "data" / data
    with (folder / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    for case in rows[:: max(1, len(rows) // 8)]:
        path = folder / "images" / f"{case['case']}.nii.gz"
        image, labels = read(path), read(folder / "labels" / f"{case['case']}_gt.nii.gz")
        assert image.source == case["case"]
        assert labels.geometry.same_space(image.geometry, 1e-6)
        if data == "acdc":
            shape = (int(case["slices"]), int(case["rows"]), int(case["cols"]))
            assert image.spatial_shape == shape
            steps = (float(case["pixel_mm"]), float(case["thickness_mm"]))
            assert image.geometry.spacing[::2] == pytest.approx(steps, rel=1e-6)
        # Volume of the left ventricle in ml: fails when steps and axes are mixed up.
        ml = (labels.data == 3).sum() * np.prod(labels.geometry.spacing) / 1000
        assert ml == pytest.approx(float(case["lv_ml"]), rel=1e-3)
        check_written_labels(image, path, tmp_path)


def check_written_labels(image: Volume, path: Path, folder: Path) -> None:
    """Labels lie on the image for both libraries, and their centroid is at the same millimetre."""
    mask = (image.data > np.percentile(image.data, 99)).astype(np.uint8)
    written = folder / "labels.nii.gz"
    write(image.with_data(mask), written)
    np.testing.assert_allclose(
        nibabel.load(written).affine, nibabel.load(path).affine, rtol=0, atol=1e-6
    )
    source, result = sitk.ReadImage(str(path)), sitk.ReadImage(str(written))
    assert source.IsSameImageGeometryAs(result)
    assert result.GetPixelID() == sitk.sitkUInt8
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(result)
    centre = np.argwhere(mask).mean(axis=0)[::-1]
    ours = image.geometry.positions(centre)
    np.testing.assert_allclose(ours, statistics.GetCentroid(1), rtol=0, atol=1e-3)
    ras = nibabel.affines.apply_affine(nibabel.load(written).affine, centre)
    np.testing.assert_allclose(ours, ras * (-1, -1, 1), rtol=0, atol=1e-3)
