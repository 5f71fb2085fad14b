"""Uncertainty maps: names, range, grid, and no effect on the labels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hearts import soft_ring

from napari_flomo.errors import FlomoError
from napari_flomo.models import Label
from napari_flomo.networks import NETWORKS, build, can_sample
from napari_flomo.segmentation import DEFAULT_MAPS, MAPS, Segmenter, passes_of
from napari_flomo.segmentation.maps import COARSER, DRAWING_NETWORKS, DRAWS, FLOMO_NETWORKS
from napari_flomo.segmentation.tta import VIEWS, PassStatistics, View
from napari_flomo.volumes import Geometry, Volume, read

ALL_BUT_DRAWN = [name for name, kind in MAPS.items() if kind.over != "draws"]


@pytest.fixture
def volume():
    return soft_ring()


class Staged(torch.nn.Module):
    """By brightness, with maps of four stages whose values are the stage."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.levels = torch.nn.Parameter(torch.linspace(0, 1, classes))

    def forward(self, images: torch.Tensor) -> Any:
        logits = -20 * (images[:, :1] - self.levels[:, None, None]) ** 2
        maps = {}
        for name, scale in COARSER.items():
            sides = [-(-side // 8) * 8 // scale for side in images.shape[-2:]]
            value = int(name[-1]) / 10
            for what in ("entropy", "cosine", "trust", "corrective"):
                maps[f"{name}.{what}"] = torch.full((len(images), 1, *sides), value)
        return SimpleNamespace(logits=logits, maps=maps)


def test_descriptions_and_passes():
    assert list(DEFAULT_MAPS) == ["entropy"]
    for name, kind in MAPS.items():
        assert kind.name == name
        assert kind.title
        assert kind.description
        assert kind.passes == {"views": len(VIEWS), "draws": 1 + DRAWS, "": 1}[kind.over]
        assert kind.offered_by("dynunet") == (not name.startswith(("network_", "mc_")))
        assert kind.offered_by("fias") == (not name.startswith("network_"))
    viewed = {name for name, kind in MAPS.items() if kind.over == "views"}
    assert viewed == {"tta_entropy", "mutual_information", "variance"}
    assert passes_of(["entropy", "network_cosine"]) == 1
    assert passes_of(["entropy", "mc_variance", "mc_entropy"]) == 1 + DRAWS
    assert passes_of(["variance", "mc_variance"]) == len(VIEWS) + DRAWS


@pytest.mark.parametrize("name", ["flomo-b0", "dynunet", "fias"])
def test_networks_return_the_maps_they_offer(name):
    network = build(name, in_channels=1, num_classes=2).eval()
    with torch.inference_mode():
        returned = network(torch.rand(1, 1, 32, 32)).maps
    for kind in MAPS.values():
        there = all(one in returned for one in kind.reads)
        assert (there and (kind.over != "draws" or can_sample(network))) == kind.offered_by(name)
    assert {*FLOMO_NETWORKS, *DRAWING_NETWORKS} <= set(NETWORKS)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_maps_do_not_change_labels(make_segmenter, card, volume, activation):
    plain = make_segmenter(sharpness=20, activation=activation, pixel_mm=1.0, crop=64)
    classes = plain.card.num_classes
    staged = Segmenter(Staged(classes), plain.card, "cpu")
    reference = staged.segment(volume)
    result = staged.segment(volume, maps=ALL_BUT_DRAWN)
    assert list(result.uncertainty) == ALL_BUT_DRAWN
    assert np.array_equal(result.labels.data, reference.labels.data)
    assert np.array_equal(result.slice_scores, reference.slice_scores)
    entropy = result.uncertainty["entropy"].data
    assert np.array_equal(entropy, reference.uncertainty["entropy"].data)
    for name, found in result.uncertainty.items():
        assert found.geometry == volume.geometry, name
        assert found.data.shape == volume.data.shape, name
        assert found.data.dtype == np.float32, name
        assert found.data.min() >= 0, name
        assert found.data.max() <= 1, name
        assert found.data[:, :2].max() < 1e-6, f"{name} says something beyond the field of view"
        assert found.data.any(), name


def test_mean_of_the_stages(make_segmenter, volume):
    card = make_segmenter(crop=50).card  # 50 is no multiple of 8: the stages are padded
    result = Segmenter(Staged(card.num_classes), card, "cpu").segment(volume, maps=ALL_BUT_DRAWN)
    inside = np.s_[:, 12:58, 4:50]
    for what in ("entropy", "cosine", "correction"):
        assert np.allclose(result.uncertainty[f"network_{what}"].data[inside], 0.25)
        assert np.allclose(result.uncertainty[f"network_{what}_stage3"].data[inside], 0.3)
    assert np.allclose(result.uncertainty["network_distrust_stage1"].data[inside], 0.9)


def test_only_requested_maps_are_kept(make_segmenter, volume):
    made = make_segmenter(sharpness=20)
    result = made.segment(volume, maps=["variance", "variance"])
    assert list(result.uncertainty) == ["variance"]
    assert result.manifest["maps"] == ["variance"]
    assert np.isfinite(result.slice_scores).all()
    assert not made.segment(volume, maps=()).uncertainty
    assert made.segment(volume).manifest["maps"] == ["entropy"]


def test_unknown_maps(make_segmenter, volume):
    made = make_segmenter()
    with pytest.raises(FlomoError, match="no map called 'entropie'; choose among entropy, tta_"):
        made.segment(volume, maps=["entropie"])
    with pytest.raises(FlomoError, match="of brightness has no map 'network_cosine' of its own"):
        made.segment(volume, maps=["entropy", "network_cosine"])


class TestViews:
    def test_plain_view_first(self):
        assert VIEWS[0] == View()
        assert len(set(VIEWS)) == len(VIEWS) == MAPS["variance"].passes

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("shape", [(48, 48), (40, 64)])
    def test_there_and_back(self, view, shape):
        row, column = np.mgrid[: shape[0], : shape[1]]
        smooth = np.stack([np.sin(row / 9 + column / 13), np.cos(row / 11)]) / 2 + 0.5
        images = smooth.astype(np.float32)[None]
        there = view.of(images)
        assert there.shape == images.shape
        back, seen = view.back(there ** (1 / view.gamma))
        inside = np.ones((1, 1, *shape)) if seen is None else seen
        assert inside.mean() > 0.75
        assert inside[..., shape[0] // 2, shape[1] // 2] == 1
        assert (np.abs(back - images) * inside).max() < 0.02

    def test_rotation_of_an_oblong_image(self):
        """A disc beside the middle of an oblong image lands where the turn takes it."""
        row, column = np.mgrid[:60, :100]
        disc = ((row - 29.5) ** 2 + (column - 79.5) ** 2 < 16).astype(np.float32)
        turned = View(degrees=10).of(disc[None, None])[0, 0]
        middle = np.array([(turned * row).sum(), (turned * column).sum()]) / turned.sum()
        angle = np.deg2rad(10)
        up_or_down = 30 * np.sin(angle)
        assert abs(abs(middle[0] - 29.5) - up_or_down) < 0.1
        assert middle[1] == pytest.approx(49.5 + 30 * np.cos(angle), abs=0.1)


class TestSpread:
    def test_equal_views(self):
        spread = PassStatistics("softmax")
        one = np.array([0.7, 0.2, 0.1], np.float32)[None, :, None, None]
        for _ in range(5):
            spread.add(one)
        maps = spread.maps()
        assert maps["mutual_information"].item() == pytest.approx(0, abs=1e-6)
        assert maps["variance"].item() == pytest.approx(0, abs=1e-6)
        expected = -(one * np.log(one)).sum() / np.log(3)
        assert maps["entropy"].item() == pytest.approx(expected.item(), abs=1e-6)

    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    def test_contradicting_views(self, activation):
        spread = PassStatistics(activation)
        for winner in range(2):
            spread.add(np.eye(2, dtype=np.float32)[winner][None, :, None, None])
        for name, found in spread.maps().items():
            assert found.item() == pytest.approx(1, abs=1e-5), name

    def test_pixels_outside_a_view(self):
        spread = PassStatistics("softmax")
        sure = np.zeros((1, 2, 1, 2), np.float32)
        sure[:, 0] = 1
        spread.add(sure)
        spread.add(sure[:, ::-1], np.array([[[[1.0, 0.0]]]]))
        assert spread.maps()["variance"].flatten().tolist() == pytest.approx([1, 0])


def test_save_all_or_nothing(make_segmenter, volume, tmp_path):
    result = make_segmenter(sharpness=20).segment(volume, maps=["entropy", "variance"])
    out = tmp_path / "out"
    out.mkdir()
    labels, spread, uncertainty = (out / name for name in ("l.nrrd", "v.nii.gz", "e.nrrd"))
    for changes, options, message in (
        ({}, {"maps": {"mutual_information": spread}}, "was not computed; .*maps="),
        ({}, {"uncertainty": tmp_path / "absent" / "u.nii.gz"}, "does not exist"),
        ({}, {"uncertainty": out / "u.xyz"}, r"^u\.xyz cannot be written"),
        ({"probabilities": None}, {"probabilities": out / "p.nii.gz"}, "keep_probabilities"),
    ):
        with pytest.raises(FlomoError, match=message):
            replace(result, **changes).save(labels, **options)
    assert not list(out.iterdir())
    result.save(labels, uncertainty=uncertainty, maps={"variance": spread})
    assert np.allclose(read(spread).data, result.uncertainty["variance"].data)
    assert np.allclose(read(uncertainty).data, result.uncertainty["entropy"].data)


@pytest.mark.parametrize("name", ["madgnet-resnet50", "fm-bff-net", "fias"])
def test_maps_of_a_companion(name, card):
    """On a photo of odd sides in colour; its own maps are refused."""
    labels = (*card.labels, Label(201, "third", "#123456"))
    photo = replace(
        card, name="random", network=name, in_channels=3, input_kind="photo", activation="sigmoid",
        labels=labels, threshold=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    made = Segmenter(build(name, in_channels=3, num_classes=3), photo, "cpu")
    data = np.random.default_rng(0).integers(0, 255, (1, 31, 30, 3), np.uint8)
    axes = ("slices", "rows", "columns", "channels")
    volume = Volume(data, Geometry.unknown(), axes, modality="photo")
    offered = [kind.name for kind in MAPS.values() if kind.offered_by(name)]
    assert set(offered) >= {"entropy", "tta_entropy", "mutual_information", "variance"}
    result = made.segment(volume, maps=offered)
    assert list(result.uncertainty) == offered
    for key, one in result.uncertainty.items():
        assert one.data.shape == (1, 31, 30), key
        assert np.isfinite(one.data).all(), key
        assert 0 <= one.data.min() <= one.data.max() <= 1, key
    for key in ("entropy", "tta_entropy", "variance"):
        assert result.uncertainty[key].data.max() > 0, key
    assert np.array_equal(result.labels.data, made.segment(volume).labels.data)
    refused = ["network_entropy"] + ([] if name == "fias" else ["mc_variance"])
    for key in refused:
        with pytest.raises(FlomoError, match=f"random has no map '{key}'"):
            made.segment(volume, maps=[key])
