"""Slices on any axis of a file: which one it is, and back into the order of the file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.corrections import Correction, CorrectionStore, Journal, Stroke, identity, replay
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import (
    AXIS_NAMES,
    Geometry,
    Volume,
    arrange,
    in_stored_order,
    read,
    write,
)
from napari_flomo.volumes.slice_axis import find_slice_axis

ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((False, True), repeat=3))
SUFFIXES = (".nii.gz", ".nrrd", ".mha")

# In the order slices, rows, columns.
CLEAR = {
    "thick slices": ((8.0, 1.4, 1.4), (10, 256, 216)),
    "two slices": ((23.0, 1.25, 1.25), (2, 192, 192)),
    "one slice": ((1.0, 1.25, 1.25), (1, 192, 192)),
    "many thin slices": ((2.0, 1.4, 1.4), (40, 256, 256)),
    "interpolated to cubes": ((1.25, 1.25, 1.25), (72, 280, 256)),
    "rectangular pixels": ((5.0, 1.9, 1.3), (12, 128, 256)),
    "a small heart cut out": ((10.0, 1.5, 1.5), (12, 20, 24)),
}
UNCLEAR = {
    "a cube": ((1.0, 1.0, 1.0), (64, 64, 64)),
    "a heart cut out of an interpolated stack": ((1.25, 1.25, 1.25), (64, 80, 80)),
    "steps of another order than the lengths": ((8.0, 1.25, 1.25), (256, 256, 12)),
    "two axes of length 1": ((1.0, 1.0, 1.0), (1, 1, 40)),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", CLEAR)
def test_clear_stacks(case: str, order: tuple[int, ...]) -> None:
    steps, lengths = CLEAR[case]
    found = find_slice_axis([steps[axis] for axis in order], [lengths[axis] for axis in order])
    assert found == order.index(0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", UNCLEAR)
def test_unclear_stacks(case: str, order: tuple[int, ...]) -> None:
    steps, lengths = UNCLEAR[case]
    assert find_slice_axis([steps[a] for a in order], [lengths[a] for a in order]) is None


def test_real_stacks_are_clear(shared: Path) -> None:
    folders = ("acdc/images", "acdc_cine", "sunnybrook/images", "myops", "pig_cine")
    paths = [path for one in folders for path in (shared / "data" / one).rglob("*.nii.gz")]
    assert len(paths) > 100
    for path in paths:
        header = nibabel.load(path).header
        steps, lengths = header.get_zooms()[:3], header.get_data_shape()[:3]
        assert find_slice_axis(steps, lengths) == 2, path.name


def stack(make_volume: Callable[..., Volume], frames: int | None = None) -> Volume:
    """Return a stack on an oblique grid in which every voxel has a value of its own."""
    return make_volume(frames=frames, slices=3, rows=11, columns=13)


def stored(volume: Volume, order: Sequence[int], flips: Sequence[bool]) -> tuple[np.ndarray, ...]:
    """Return array and affine of a stack as nibabel has it, with its axes reordered and flipped."""
    affine = volume.geometry.affine_ras()
    data = np.moveaxis(volume.data, range(-3, 0), range(2, -1, -1))  # columns, rows, slices[, time]
    transform = np.zeros((4, 4))
    transform[3, 3] = 1
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
        transform[source, axis] = -1 if flip else 1
        transform[source, 3] = data.shape[source] - 1 if flip else 0
    data = np.moveaxis(data, order, range(3))
    return np.flip(data, [axis for axis in range(3) if flips[axis]]), affine @ transform


def save(data: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write an array of nibabel's order with the library that belongs to the format."""
    if path.suffix == ".gz":
        image = nibabel.Nifti1Image(data, affine)
        image.header.set_xyzt_units("mm", "sec")
        nibabel.save(image, path)
        return
    lps = np.diag([-1, -1, 1, 1]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing(steps.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    sitk.WriteImage(image, str(path))


def by_place(path: Path, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Read a file with nibabel or ITK and take its value at each voxel of a grid."""
    index = np.stack(np.meshgrid(*map(range, shape), indexing="ij"), -1)[..., ::-1]
    places = geometry.positions(index).reshape(-1, 3)
    if path.suffix == ".gz":
        image = nibabel.load(path)
        voxels = nibabel.affines.apply_affine(np.linalg.inv(image.affine), places * (-1, -1, 1))
        data = np.asarray(image.dataobj)
    else:
        image = sitk.ReadImage(str(path))
        voxels = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in places])
        data = sitk.GetArrayFromImage(image).T
    nearest = np.rint(voxels).astype(int)
    assert np.abs(voxels - nearest).max() < 1e-3
    return data[tuple(nearest.T)].reshape(shape)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("order", ORDERS)
def test_all_48_orders_and_flips(
    make_volume: Callable[..., Volume], suffix: str, order: tuple[int, ...], tmp_path: Path
) -> None:
    truth = stack(make_volume)
    path, out = tmp_path / f"stored{suffix}", tmp_path / f"labels{suffix}"
    for flips in FLIPS:
        data, affine = stored(truth, order, flips)
        save(data, affine, path)
        volume = read(path)
        assert volume.n_slices == 3
        assert volume.slice_axis_known
        assert volume.geometry.spacing[2] == pytest.approx(8, rel=1e-6)
        assert bool(volume.notes) == (order[2] != 2)
        np.testing.assert_array_equal(in_stored_order(volume).data, data.T)
        write(volume.with_data(volume.data % 251), out)
        np.testing.assert_array_equal(
            by_place(out, truth.geometry, truth.data.shape), truth.data % 251
        )
        if suffix == ".nii.gz":
            before, after = nibabel.load(path), nibabel.load(out)
            assert after.shape == before.shape
            np.testing.assert_array_equal(after.affine, before.affine)
            np.testing.assert_array_equal(after.header["pixdim"], before.header["pixdim"])
        # ITK refuses a NIfTI with other handedness in the two forms, so it must find the same grid.
        one, other = sitk.ReadImage(str(path)), sitk.ReadImage(str(out))
        assert one.GetSize() == other.GetSize()
        np.testing.assert_allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-5)
        np.testing.assert_allclose(one.GetDirection(), other.GetDirection(), atol=1e-6)


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_cine_with_slices_on_any_axis(
    make_volume: Callable[..., Volume], order: tuple[int, ...], tmp_path: Path
) -> None:
    cine = stack(make_volume, frames=4)
    data, affine = stored(cine, order, (True, False, True))
    path = tmp_path / "cine.nii.gz"
    save(np.moveaxis(data, -1, 3), affine, path)
    volume = read(path)
    assert (volume.n_frames, volume.n_slices) == (4, 3)
    write(volume, tmp_path / "again.nii.gz")
    one, other = nibabel.load(path), nibabel.load(tmp_path / "again.nii.gz")
    np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))
    np.testing.assert_array_equal(one.affine, other.affine)
    write(volume.frame(2), tmp_path / "frame.nii.gz")
    frame = nibabel.load(tmp_path / "frame.nii.gz")
    np.testing.assert_array_equal(np.asarray(frame.dataobj), np.asarray(one.dataobj)[..., 2])


def test_slices_on_the_third_axis(make_volume: Callable[..., Volume], tmp_path: Path) -> None:
    path = tmp_path / "usual.nii.gz"
    write(stack(make_volume), path)
    volume = read(path)
    assert volume.storage == (0, 1, 2)
    assert volume.notes == ()
    assert volume.data.flags.c_contiguous
    write(volume, tmp_path / "again.nii.gz")
    assert (tmp_path / "again.nii.gz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ambiguous_file_is_read_as_stored_and_the_user_decides(suffix: str, tmp_path: Path) -> None:
    data = np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8)
    path = tmp_path / f"cube{suffix}"
    write(Volume(data, Geometry((1.5, 1.5, 1.5))), path)
    volume = read(path)
    assert not volume.slice_axis_known
    np.testing.assert_array_equal(volume.data, data)
    for name, axis in zip(AXIS_NAMES, (2, 1, 0), strict=True):
        chosen = read(path, slice_axis=name)
        assert chosen.slice_axis_known
        np.testing.assert_array_equal(chosen.data, np.moveaxis(data, axis, 0))
        np.testing.assert_array_equal(arrange(volume, name).data, chosen.data)
        write(chosen, tmp_path / f"out{suffix}")
        np.testing.assert_array_equal(read(tmp_path / f"out{suffix}").data, data)
    with pytest.raises(FlomoError, match="i, j or k"):
        read(path, slice_axis="x")


def test_user_overrides_the_slice_axis(make_volume: Callable[..., Volume], tmp_path: Path) -> None:
    truth = stack(make_volume)
    write(truth, tmp_path / "a.nii")
    chosen = read(tmp_path / "a.nii", slice_axis="i")
    np.testing.assert_array_equal(chosen.data, np.moveaxis(truth.data, 2, 0))


def test_unknown_spacing_keeps_the_stored_order(tmp_path: Path) -> None:
    volume = Volume(np.zeros((30, 4, 30), np.uint8), Geometry.unknown())
    write(volume, tmp_path / "a.nrrd")
    back = read(tmp_path / "a.nrrd")
    assert back.slice_axis_known
    assert back.data.shape == (30, 4, 30)


@pytest.fixture
def sideways() -> Volume:
    """A stack whose slices were found on the axis j, where nothing in it tells so."""
    data = np.random.default_rng(0).integers(0, 900, (12, 9, 10), np.int16)
    return arrange(Volume(data, Geometry((1.5, 1.5, 1.5), (3, 4, 5))), "j")


def test_journal_counts_the_voxels_of_the_arranged_image(sideways: Volume, tmp_path: Path) -> None:
    labels = sideways.with_data((sideways.data > 500).astype(np.uint8))
    journal = Journal.create(sideways, labels, parent=tmp_path)
    painted = labels.data.copy()
    painted[3, 2, 1] = 7
    where = np.flatnonzero(painted != labels.data)
    old, new = labels.data.ravel()[where], painted.ravel()[where]
    journal.compact()
    journal.record(Stroke.of("stroke", indices=where, old=old, new=new, time=1.0))
    journal.close()
    found = replay(journal.folder)
    np.testing.assert_array_equal(found.image.data, sideways.data)
    np.testing.assert_array_equal(found.labels.data, painted)
    assert identity(found.image) == identity(sideways)


def test_store_keeps_the_arranged_image(sideways: Volume, tmp_path: Path) -> None:
    labels = sideways.with_data((sideways.data > 500).astype(np.uint8))
    store = CorrectionStore.open(tmp_path / "store", create=True)
    correction = Correction(sideways, labels, {1: "heart"}, proposed=labels, seen=[(0, 8)])
    id = store.add(correction)
    assert store.add(replace(correction, seen=[(0, 7)])) == id
    found = store.read(id)
    assert found.image is not None
    np.testing.assert_array_equal(found.image.data, sideways.data)
    np.testing.assert_array_equal(found.corrected.data, labels.data)
    np.testing.assert_array_equal(store.read(id, image=sideways).corrected.data, labels.data)
    assert store.verify() == []
