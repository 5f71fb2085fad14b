"""Labels do not depend on the orientation in which a heart is stored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.measures import structure_volumes
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.orientation import Reorientation
from napari_flomo.volumes import Geometry, Volume, arrange, in_stored_order, read, write
from napari_flomo.volumes.slice_axis import permuted

ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((False, True), repeat=3))
ML = {"right ventricle": 45.0, "left ventricular myocardium": 60.8, "left ventricle": 99.9}

# Directions in LPS whose columns are those of columns, rows and slices.
SUNNYBROOK = np.array([[-0.10, -0.73, -0.67], [0.34, -0.66, 0.66], [-0.93, -0.16, 0.31]])
AXIAL = np.array([[0.98, 0.0, 0.19], [-0.1, 0.84, 0.53], [-0.16, -0.54, 0.83]])


@pytest.fixture(scope="module")
def clean(repository):
    return repository / "tests" / "fieldtests" / "_clean" / "heart.nii.gz"


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_pretrained(DEFAULT_MODEL, "cpu", "eager")


@pytest.fixture(scope="module")
def truth(clean, segmenter):
    return segmenter.segment(read(clean), maps=("entropy",))


def orthogonal(matrix: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def geometry_with(matrix: np.ndarray) -> Geometry:
    return Geometry((1.2, 1.4, 8.0), (10, 20, 30), tuple(orthogonal(matrix).ravel().tolist()))


def reoriented(image: nibabel.Nifti1Image, order: Sequence[int], flips: Sequence[bool]) -> Any:
    """Store an image with its axes in another order, some of them reversed."""
    ends = np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)])
    codes = np.empty((3, 2))
    codes[ends[:, 0]] = np.stack([np.arange(3), ends[:, 1]], 1)
    return image.as_reoriented(codes)


@pytest.mark.parametrize("matrix", [np.eye(3), SUNNYBROOK, AXIAL], ids=["axes", "oblique", "axial"])
def test_usual_images_are_not_reoriented(matrix):
    assert Reorientation.of(geometry_with(matrix)).is_identity


def test_photo_is_not_reoriented():
    assert Reorientation.of(Geometry.unknown()).is_identity


def _turned_alike(matrix: np.ndarray) -> None:
    """Store a grid in all 16 ways that leave the slices alone; the network sees one of them."""
    matrix = orthogonal(matrix)
    data = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    image = Volume(data, Geometry((1.2, 1.4, 8.0), direction=tuple(matrix.ravel().tolist())))
    first = Reorientation.of(image.geometry).volume(image)
    for exchange, flips in itertools.product((False, True), FLIPS):
        order = (0, 2, 1) if exchange else (0, 1, 2)
        stored = Reorientation(order, flips).volume(image)
        turn = Reorientation.of(stored.geometry)
        seen = turn.volume(stored)
        np.testing.assert_array_equal(seen.data, first.data)
        assert seen.geometry.same_space(first.geometry, 1e-9)
        np.testing.assert_array_equal(turn.restore_array(seen.data), stored.data)
        assert np.linalg.det(seen.geometry.direction_matrix) > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-np.pi, np.pi), min_size=3, max_size=3))
def test_random_directions(angles):
    _turned_alike(Rotation.from_euler("xyz", angles).as_matrix())


@pytest.mark.parametrize("angles", itertools.product((0, 45, 90, 135), repeat=3))
def test_directions_between_two_axes(angles):
    exact = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    for noise in (0, 1e-7):  # as headers round
        _turned_alike(exact + noise * np.random.default_rng(0).normal(size=(3, 3)))


def test_geometry_follows_the_voxels():
    data = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    image = Volume(data, geometry_with(Rotation.from_euler("xyz", [2, 1, 4]).as_matrix()))
    seen = Reorientation.of(image.geometry).volume(image)
    for value in (0, 17, 43, 59):
        places = []
        for volume in (image, seen):
            index = np.argwhere(volume.data == value)[0][::-1]
            places.append(volume.geometry.positions(index))
        np.testing.assert_allclose(*places, atol=1e-9)
    assert permuted(permuted(image.geometry, (2, 0, 1)), (1, 2, 0)) == image.geometry


class Slanted(nn.Module):
    """A network to which it matters how an image is turned, and which slices are neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.kernel = nn.Parameter(torch.randn((3, channels, 5, 5), generator=generator))

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=F.conv2d(images - images.mean(), self.kernel, padding=2))


@pytest.mark.parametrize("neighbours", [0, 1])
def test_all_48_orders_and_flips(card, neighbours):
    rule = replace(card.preprocessing, pixel_mm=1.7, crop=21, neighbours=neighbours)
    channels = 2 * neighbours + 1
    card = replace(card, preprocessing=rule, in_channels=channels)
    segmenter = Segmenter(Slanted(channels), card, "cpu")
    data = np.random.default_rng(1).integers(0, 500, (4, 31, 26), np.int16)
    image = Volume(data, geometry_with(Rotation.from_euler("xyz", [2, 1, 4]).as_matrix()))
    arguments = {"keep_probabilities": True, "maps": ("entropy", "variance")}
    truth = segmenter.segment(image, **arguments)
    seen = set()
    for order, flips in itertools.product(ORDERS, FLIPS):
        stored = Reorientation(order, flips).volume(image)
        volume = arrange(replace(stored, extra={}))
        assert volume.n_slices == 4
        found = segmenter.segment(volume, **arguments)
        seen.add(found.labels.data.tobytes())
        pairs = [
            (found.labels, truth.labels),
            (found.probabilities, truth.probabilities),
            *((found.uncertainty[name], truth.uncertainty[name]) for name in truth.uncertainty),
        ]
        for one, wanted in pairs:
            back = Reorientation(order, flips).restore_array(
                in_stored_order(one).data, one.data.ndim - 3
            )
            np.testing.assert_array_equal(back, wanted.data)
            assert in_stored_order(one).geometry == stored.geometry
        backwards = flips[order.index(0)]
        scores = found.slice_scores[:, ::-1] if backwards else found.slice_scores
        np.testing.assert_allclose(scores, truth.slice_scores, rtol=1e-6)
        dice = found.scores.expected_dice
        wanted = truth.scores.expected_dice
        np.testing.assert_allclose(dice[..., ::-1] if backwards else dice, wanted, rtol=1e-6)
    assert len(seen) == 16  # ways to turn arranged labels: none came out by chance


@pytest.mark.parametrize("number", [5, 21, 40])
def test_labels_of_reoriented_files(number, clean, segmenter, truth, tmp_path):
    order, flips = [*itertools.product(ORDERS, FLIPS)][number]
    suffix = (".nii.gz", ".nrrd", ".mha")[number % 3]
    path = tmp_path / f"heart{suffix}"
    image = reoriented(nibabel.load(clean), order, flips)
    if suffix == ".nii.gz":
        nibabel.save(image, path)
    else:
        nibabel.save(image, tmp_path / "heart.nii")
        sitk.WriteImage(sitk.ReadImage(str(tmp_path / "heart.nii")), str(path))
    found = segmenter.segment(read(path), maps=("entropy",), keep_probabilities=True)
    found.save(tmp_path / f"labels{suffix}", uncertainty=tmp_path / f"uncertainty{suffix}")
    scores = found.slice_scores[0]
    same_way = (
        found.labels.geometry.direction_matrix[:, 2]
        @ (truth.labels.geometry.direction_matrix[:, 2])
    )
    np.testing.assert_allclose(scores[:: int(np.sign(same_way))], truth.slice_scores[0], rtol=1e-5)
    grid = sitk.ReadImage(str(clean))
    for name, wanted in (("labels", truth.labels), ("uncertainty", truth.uncertainty["entropy"])):
        there = sitk.ReadImage(str(tmp_path / f"{name}{suffix}"))
        assert there.GetSize() == sitk.ReadImage(str(path)).GetSize()
        back = sitk.Resample(there, grid, sitk.Transform(), sitk.sitkNearestNeighbor)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(back), wanted.data)
    if suffix == ".nii.gz":
        labels = nibabel.load(tmp_path / "labels.nii.gz")
        np.testing.assert_array_equal(labels.affine, nibabel.load(path).affine)
        clean_labels = nibabel.Nifti1Image(truth.labels.data.T, nibabel.load(clean).affine)
        again = reoriented(clean_labels, order, flips)
        np.testing.assert_array_equal(np.asarray(labels.dataobj), np.asarray(again.dataobj))


def test_ras_file(repository, segmenter, tmp_path):
    path = repository / "tests" / "fieldtests" / "slice_axis_not_third" / "heart_ras.nii.gz"
    volume = read(path)
    assert "axis j" in volume.notes[0]
    found = segmenter.segment(volume)
    assert found.manifest["input"]["slice_axis"] == "j"
    names = {label.code: label.name for label in found.card.labels if label.code}
    measured = {one.name: one.ml for one in structure_volumes(found.labels, names)}
    assert measured == pytest.approx(ML, abs=0.05)
    write(found.labels, tmp_path / "labels.nii.gz")
    assert nibabel.load(tmp_path / "labels.nii.gz").shape == nibabel.load(path).shape


def test_slice_indices_count_along_the_slice_axis(clean, segmenter, truth, tmp_path):
    image = reoriented(
        nibabel.load(clean), (2, 0, 1), (True, False, False)
    )  # slices come backwards
    nibabel.save(image, tmp_path / "a.nii")
    found = segmenter.segment(read(tmp_path / "a.nii"), slices=[0])
    assert found.manifest["segmented"]["slices"] == [0]
    assert np.isfinite(found.slice_scores[0]).tolist() == [True, False, False, False]
    assert found.slice_scores[0, 0] == pytest.approx(float(truth.slice_scores[0, 3]), rel=1e-5)
    assert not found.labels.data[1:].any()
    assert found.labels.data[0].sum() == truth.labels.data[3].sum()


def test_cine_with_slices_on_another_axis(clean, segmenter, truth, tmp_path):
    still = nibabel.load(clean)
    data = np.stack([np.zeros(still.shape), np.asarray(still.dataobj)], -1).astype(np.int16)
    cine = reoriented(nibabel.Nifti1Image(data, still.affine), (1, 2, 0), (False, True, False))
    nibabel.save(cine, tmp_path / "cine.nii.gz")
    volume = read(tmp_path / "cine.nii.gz")
    assert (volume.n_frames, volume.n_slices) == (2, 4)
    found = segmenter.segment(volume, frames=[1])
    write(found.labels, tmp_path / "labels.nii.gz")
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    assert labels.shape == cine.shape
    wanted = reoriented(
        nibabel.Nifti1Image(truth.labels.data.T, still.affine), (1, 2, 0), (False, True, False)
    )
    np.testing.assert_array_equal(np.asarray(labels.dataobj)[..., 1], np.asarray(wanted.dataobj))


def test_ambiguous_slice_axis(segmenter, tmp_path):
    rng = np.random.default_rng(0)
    cube = Volume(rng.integers(0, 200, (40, 48, 44), np.int16), Geometry((1.5, 1.5, 1.5)))
    write(cube, tmp_path / "cube.nii.gz")
    with pytest.raises(FlomoError, match=r"i has 44 samples of 1\.5 mm.*--slice-axis"):
        segmenter.segment(read(tmp_path / "cube.nii.gz"))
    chosen = read(tmp_path / "cube.nii.gz", slice_axis="j")
    assert segmenter.segment(chosen, slices=[0]).labels.n_slices == 48
    segmenter.segment(cube, slices=[0])  # axes of a volume made in memory are known
