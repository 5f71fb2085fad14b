"""The bundled model on real hearts that were not used for training."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hearts import dice

from napari_flomo.cli import main
from napari_flomo.models import IntensityRule, Preprocessing
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.preprocessing import make_plan, prepare_labels, restore
from napari_flomo.volumes import read


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_pretrained("flomo-b0-acdc", device="cpu")


@pytest.fixture(scope="module")
def volume(repository):
    return read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")


def code(segmenter, name):
    return next(label.code for label in segmenter.card.labels if label.name == name)


def test_sample(segmenter, volume):
    result = segmenter.segment(volume)
    cavity = result.labels.data == code(segmenter, "left ventricle")
    wall = result.labels.data == code(segmenter, "left ventricular myocardium")
    millilitres = cavity.sum() * np.prod(volume.geometry.spacing) / 1000
    assert 150 < millilitres < 230  # 195.8 in the reference
    middle = len(cavity) // 2
    rows, columns = np.nonzero(cavity[middle])
    assert wall[middle].any(axis=1)[rows].all()  # the wall surrounds the cavity
    assert wall[middle].any(axis=0)[columns].all()
    entropy = result.uncertainty["entropy"].data
    border = wall ^ np.roll(wall, 1, axis=2)
    assert entropy[border].mean() > 5 * entropy[~border].mean()
    assert np.allclose(result.probabilities.data.sum(0), 1, atol=1e-5)
    assert result.manifest["model"]["weights_sha256"] == segmenter.card.sha256
    alone = segmenter.segment(volume, slices=[middle]).uncertainty["entropy"].data
    assert np.abs(alone[middle] - entropy[middle]).max() < 1e-4, "alone in its batch or not"


def test_heart_off_centre(segmenter, volume):
    slices = range(5, 8)
    straight = segmenter.segment(volume, slices=slices).labels.data
    moved = volume.with_data(np.roll(volume.data, (25, -30), axis=(1, 2)))
    back = np.roll(segmenter.segment(moved, slices=slices).labels.data, (-25, 30), axis=(1, 2))
    wall = code(segmenter, "left ventricular myocardium")
    assert dice(straight == wall, back == wall) > 0.85


@pytest.mark.shared
def test_held_out_patient(segmenter, shared, tmp_path):
    source = shared / "data" / "acdc"
    image = source / "images" / "patient006_frame01.nii.gz"  # fold 0
    output = tmp_path / "labels.nii.gz"
    assert main(["segment", str(image), "-o", str(output), "--quiet", "--device", "cpu"]) == 0
    found = np.asarray(nibabel.load(output).dataobj)
    expected = nibabel.load(source / "labels" / "patient006_frame01_gt.nii.gz")
    for label in segmenter.card.labels[1:]:
        reference = np.asarray(expected.dataobj) == label.code
        assert dice(found == label.code, reference) > 0.75, label.name
    original = nibabel.load(image)
    assert np.array_equal(nibabel.load(output).affine, original.affine)
    first, second = sitk.ReadImage(str(image)), sitk.ReadImage(str(output))
    assert first.GetDirection() == second.GetDirection()
    assert first.GetOrigin() == second.GetOrigin()
    assert first.GetSpacing() == second.GetSpacing()


@pytest.mark.shared
def test_dicom_cine(shared, tmp_path, capsys):
    folder = shared / "data" / "sunnybrook" / "dicom" / "SC-HF-I-1"
    arguments = ["segment", str(folder), "-o", str(tmp_path / "cine.nii.gz"), "--json"]
    assert main([*arguments, "--frames", "3,8", "--slices", "4-8", "--device", "cpu"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["manifest"]["input"]["shape"][:2] == [10, 12]
    volumes = report["volumes_ml"]
    ventricle = {v["frame"]: v["ml"] for v in volumes if v["name"] == "left ventricle"}
    assert ventricle[3] < 0.85 * ventricle[8]  # frame 3 is end systole
    assert nibabel.load(tmp_path / "cine.nii.gz").shape == (256, 256, 12, 10)
    image, labels = read(folder), read(tmp_path / "cine.nii.gz")
    assert labels.axes == image.axes
    assert labels.geometry.same_space(image.geometry)


@pytest.mark.shared
def test_true_labels_are_preserved(shared):
    """A perfect network at the card's pixel size loses little at the native one."""
    truth = read(shared / "data" / "acdc" / "labels" / "patient001_frame01_gt.nii.gz")
    rule = Preprocessing(1.25, None, IntensityRule("percentile", 1, 99))
    plan = make_plan(truth.spatial_shape[1:], truth.in_plane_spacing, rule)
    classes = prepare_labels(truth.data, plan)
    perfect = np.moveaxis(np.eye(4, dtype=np.float32)[classes], -1, 1)
    back = restore(perfect, plan).argmax(1)
    for code in (1, 2, 3):
        assert dice(back == code, truth.data == code) > 0.97
