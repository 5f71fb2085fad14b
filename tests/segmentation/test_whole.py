"""From a file to a file, with the real network, and on real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, ModelCard, Preprocessing, build_network, save_model
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume, read


@pytest.fixture
def folder(card: ModelCard, tmp_path: Path) -> Path:
    """FLoMo-Net-B0 with random weights, saved."""
    torch.manual_seed(0)
    changed = replace(
        card,
        name="random",
        network="flomo-b0",
        preprocessing=Preprocessing(2.5, None, IntensityRule("percentile", 1, 99)),
    )
    save_model(tmp_path / "model", build_network(changed), changed)
    return tmp_path / "model"


def test_real_network(folder: Path, make_heart: Callable[..., Volume]) -> None:
    volume = make_heart(slices=3)
    made = Segmenter.from_pretrained(folder, device="cpu")
    first, again = made.segment(volume), made.segment(volume)
    assert np.array_equal(first.labels.data, again.labels.data)
    assert first.probabilities is not None
    assert np.allclose(first.probabilities.data.sum(0), 1, atol=1e-5)
    one = made.segment(volume, slices=[1])
    difference = first.uncertainty["entropy"].data[1] - one.uncertainty["entropy"].data[1]
    assert np.abs(difference).max() < 1e-4  # alone in its batch or not
    assert first.manifest["model"]["weights_sha256"] == made.card.sha256


def test_saved_and_read_back(
    folder: Path, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    volume = make_heart()
    result = Segmenter.from_pretrained(folder, "cpu").segment(volume)
    names = [tmp_path / name for name in ("l.nii.gz", "p.nii.gz", "u.nrrd")]
    result.save(names[0], probabilities=names[1], uncertainty=names[2])
    labels, probabilities, entropy = (read(name) for name in names)
    assert np.array_equal(labels.data, result.labels.data)
    assert result.probabilities is not None
    assert np.array_equal(probabilities.data, result.probabilities.data)
    assert np.array_equal(entropy.data, result.uncertainty["entropy"].data)
    for image in (labels, probabilities, entropy):
        assert image.geometry.same_space(volume.geometry)


def test_save_all_or_nothing(
    folder: Path, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    result = Segmenter.from_pretrained(folder, "cpu").segment(make_heart())
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(FlomoError, match="does not exist"):
        result.save(out / "l.nii.gz", uncertainty=tmp_path / "absent" / "u.nii.gz")
    with pytest.raises(FlomoError, match="keep_probabilities"):
        replace(result, probabilities=None).save(out / "l.nii.gz", probabilities=out / "p.nii.gz")
    with pytest.raises(FlomoError, match="not a known image format"):
        result.save(out / "l.nii.gz", uncertainty=out / "u.xyz")
    assert not list(out.iterdir())


@pytest.mark.shared
def test_real_volume_keeps_its_grid(shared: Path, folder: Path, tmp_path: Path) -> None:
    path = shared / "data" / "acdc" / "images" / "patient001_frame01.nii.gz"
    volume = read(path)
    result = Segmenter.from_pretrained(folder, "cpu").segment(volume, slices=[4])
    assert result.labels.data.shape == volume.data.shape
    result.save(tmp_path / "labels.nii.gz")
    import nibabel
    import SimpleITK as sitk  # noqa: N813

    assert np.array_equal(
        nibabel.load(tmp_path / "labels.nii.gz").affine, nibabel.load(path).affine
    )
    ours, theirs = sitk.ReadImage(tmp_path / "labels.nii.gz"), sitk.ReadImage(path)
    assert ours.GetSize() == theirs.GetSize()
    assert ours.GetSpacing() == theirs.GetSpacing()
    assert ours.GetOrigin() == theirs.GetOrigin()
    assert ours.GetDirection() == theirs.GetDirection()


@pytest.mark.shared
def test_true_labels_are_preserved(shared: Path) -> None:
    """A perfect network at the card's pixel size loses little at the native one."""
    from napari_flomo.segmentation.preprocessing import make_plan, prepare_labels, restore

    truth = read(shared / "data" / "acdc" / "labels" / "patient001_frame01_gt.nii.gz")
    rule = Preprocessing(1.25, None, IntensityRule("percentile", 1, 99))
    plan = make_plan(truth.spatial_shape[1:], truth.in_plane_spacing, rule)
    classes = prepare_labels(truth.data, plan).long()
    perfect = torch.nn.functional.one_hot(classes, 4).movedim(-1, 1).float()
    back = restore(perfect, plan).argmax(1).numpy()
    for code in (1, 2, 3):
        mine, true = back == code, truth.data == code
        assert 2 * (mine & true).sum() / (mine.sum() + true.sum()) > 0.97


@pytest.mark.shared
def test_cine(shared: Path, folder: Path) -> None:
    volume = read(shared / "data" / "sunnybrook" / "dicom" / "SC-HF-I-1")
    assert (volume.n_frames, volume.n_slices) == (10, 12)
    result = Segmenter.from_pretrained(folder, "cpu").segment(volume, frames=[3], slices=[5, 6])
    assert result.labels.data.shape == volume.data.shape
    assert result.probabilities is None
    assert np.isfinite(result.slice_scores).sum() == 2
