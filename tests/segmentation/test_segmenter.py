"""The segmenter, on images with known labels."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hearts import dice, heart
from torch import nn

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume


def test_labels_have_the_codes_of_the_card(make_segmenter):
    volume, codes = heart()
    result = make_segmenter().segment(volume)
    assert result.labels.data.dtype == np.uint8
    assert np.array_equal(result.labels.data, codes)
    for image in (result.labels, result.probabilities, result.uncertainty["entropy"]):
        assert image.geometry == volume.geometry
    assert result.labels.axes == volume.axes
    assert result.probabilities.axes == ("classes", *volume.axes)
    assert result.probabilities.data.shape == (3, *volume.data.shape)
    assert np.allclose(result.probabilities.data.sum(0), 1, atol=1e-6)
    assert result.slice_scores.shape == (1, 3)


@pytest.mark.parametrize("pixel_mm", [1.25, 1.0, 1.9])
@pytest.mark.parametrize("crop", [None, 70])
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 8.0), (0.9, 1.7, 5.0)])
def test_resampling_does_not_shift_labels(make_segmenter, pixel_mm, crop, spacing):
    volume, codes = heart(slices=8, shape=(61, 87), spacing=spacing)
    result = make_segmenter(pixel_mm=pixel_mm, crop=crop).segment(volume)
    for found, structure in (
        (result.labels.data > 0, codes > 0),
        (result.labels.data == 200, codes == 200),
    ):
        assert dice(found, structure) > (0.96 if pixel_mm < 1.5 else 0.93)
        # Single contours jump by whole pixels; a fault of the geometry would move all one way.
        shifts = [
            np.argwhere(mine).mean(0) - np.argwhere(true).mean(0)
            for mine, true in zip(found, structure, strict=True)
        ]
        assert np.abs(np.mean(shifts, 0)).max() < 0.1


def test_frames_are_independent(make_segmenter):
    volume, codes = heart(frames=4)
    result = make_segmenter(pixel_mm=1.25).segment(volume, keep_probabilities=True)
    assert result.labels.axes == volume.axes
    assert result.labels.frame_step == volume.frame_step
    assert result.slice_scores.shape == (4, 3)
    assert result.probabilities.data.shape == (3, *codes.shape)
    for frame in range(4):
        alone = make_segmenter(pixel_mm=1.25).segment(volume.frame(frame))
        assert np.array_equal(result.labels.data[frame], alone.labels.data)
        assert dice(result.labels.data[frame] > 0, codes[frame] > 0) > 0.96
        assert np.array_equal(result.probabilities.data[:, frame], alone.probabilities.data)


def test_each_frame_has_its_own_intensities(make_segmenter):
    volume, codes = heart(frames=2)
    darker = volume.data.copy()
    darker[1] = darker[1] // 4 + 100
    assert np.array_equal(make_segmenter().segment(volume.with_data(darker)).labels.data, codes)


def test_chosen_slices_and_frames(make_segmenter):
    volume, codes = heart(frames=3)
    whole = make_segmenter(pixel_mm=1.25).segment(volume)
    some = make_segmenter(pixel_mm=1.25).segment(volume, frames=[2, 0, 2], slices=(1,))
    chosen = np.zeros(codes.shape[:2], bool)
    chosen[np.ix_([0, 2], [1])] = True
    assert np.array_equal(some.labels.data[chosen], whole.labels.data[chosen])
    assert np.array_equal(some.slice_scores[chosen], whole.slice_scores[chosen])
    assert np.isnan(some.slice_scores[~chosen]).all()
    assert np.array_equal(some.slice_scores, some.scores.uncertainty_cm2, equal_nan=True)
    assert some.scores.structure_uncertainty_mm.shape == (2, 3, 3)
    assert not some.labels.data[~chosen].any()
    assert not some.uncertainty["entropy"].data[~chosen].any()
    assert some.manifest["segmented"] == {"frames": [0, 2], "slices": [1]}
    assert some.manifest["skipped"] == {"frames": [1], "slices": [0, 2]}


def test_keep_probabilities(make_segmenter):
    volume, _ = heart(frames=2)
    assert make_segmenter().segment(volume).probabilities is None
    still = replace(volume, data=volume.data[:1])
    assert make_segmenter().segment(still).probabilities is not None
    assert make_segmenter().segment(still, keep_probabilities=False).probabilities is None


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ({"slices": [3]}, "no slice 3: the volume has 3"),
        ({"slices": [-1]}, "no slice -1"),
        ({"frames": [1]}, "no frame 1: the volume has 1"),
        ({"slices": []}, "No slice was chosen"),
    ],
)
def test_invalid_indices(make_segmenter, choice, complaint):
    with pytest.raises(FlomoError, match=complaint):
        make_segmenter().segment(heart()[0], **choice)


COLOURS = Volume(
    np.zeros((1, 40, 40, 3), np.uint8),
    Geometry.unknown(),
    ("slices", "rows", "columns", "channels"),
    modality="photo",
)


class TestInput:
    @pytest.mark.parametrize(
        ("volume", "changes", "message"),
        [
            (Volume.from_array(np.zeros((40, 40)), modality="photo"), {}, "this is a photo"),
            (heart()[0], {"input_kind": "photo"}, "stack of 3 slices"),
            (COLOURS, {"input_kind": "photo"}, "takes grey images, but this image has 3 colour"),
            (Volume.from_array(heart()[0].data), {"pixel_mm": 1.25}, "pixel size in mm"),
            (heart(spacing=(0.01, 0.01, 1.0))[0], {"pixel_mm": 1.25}, "check the spacing"),
            (heart()[0].with_data(np.full((3, 60, 52), np.nan)), {}, "NaN"),
        ],
    )
    def test_unsuitable(self, make_segmenter, volume, changes, message):
        with pytest.raises(FlomoError, match=message):
            make_segmenter(**changes).segment(volume)

    def test_single_slice(self, make_segmenter):
        volume, codes = heart(slices=1)
        assert np.array_equal(make_segmenter().segment(volume).labels.data, codes)

    @pytest.mark.parametrize("channels", [None, 1, 3, 4])
    def test_photos(self, make_segmenter, channels):
        volume, codes = heart(slices=1)
        data, axes = volume.data, volume.axes
        if channels is not None:
            data = data[..., None].repeat(channels, -1)
            axes = (*axes, "channels")
            if channels == 4:
                data[..., 3] = 30000  # alpha must not count
        photo = Volume(data, Geometry.unknown(), axes, modality="photo")
        result = make_segmenter(input_kind="photo", in_channels=3).segment(photo)
        assert result.labels.axes == volume.axes
        assert np.array_equal(result.labels.data, codes)

    def test_probabilities_as_input(self, make_segmenter):
        result = make_segmenter().segment(heart()[0])
        with pytest.raises(FlomoError, match="not an image"):
            make_segmenter().segment(result.probabilities)


class TestSigmoid:
    def test_threshold(self, make_segmenter):
        volume, codes = heart()
        # At the level of a class its logit is 0, elsewhere far below 0. There are two classes
        # here, at the levels of ground and cavity; the wall between them is neither.
        low = make_segmenter(activation="sigmoid", threshold=0.45).segment(volume)
        high = make_segmenter(activation="sigmoid", threshold=0.55).segment(volume)
        assert np.array_equal(low.labels.data, np.select([codes == 7, codes == 200], [0, 200], 7))
        assert not high.labels.data.any()
        assert low.probabilities.data.shape[0] == 2
        assert float(low.uncertainty["entropy"].data.max()) <= 1

    def test_outside_the_field_of_view(self, make_segmenter):
        volume, _ = heart()
        result = make_segmenter(activation="sigmoid", threshold=0.4, crop=20).segment(volume)
        assert not result.probabilities.data[:, :, :20].any()
        assert not result.labels.data[:, :20].any()


class TestUncertainty:
    def test_range(self, make_segmenter):
        volume, _ = heart()
        certain = make_segmenter(sharpness=1e4).segment(volume).uncertainty["entropy"].data
        lost = make_segmenter(sharpness=0.0).segment(volume).uncertainty["entropy"].data
        assert certain.max() < 1e-3
        assert np.allclose(lost, 1, atol=1e-5)
        assert lost.max() <= 1

    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    def test_temperature_softens_and_keeps_labels(self, make_segmenter, activation):
        data = np.random.default_rng(3).integers(0, 1000, (2, 40, 40)).astype(np.int16)
        volume = Volume.from_array(data, (8, 1, 1))
        cold, plain, warm = (
            make_segmenter(sharpness=20, temperature=t, activation=activation).segment(volume)
            for t in (0.5, 1.0, 2.0)
        )
        for one, other in ((cold, plain), (plain, warm)):
            assert np.array_equal(one.labels.data, other.labels.data)
            softer = one.uncertainty["entropy"].data.mean() * 1.2
            assert softer < other.uncertainty["entropy"].data.mean()

    def test_blurred_slice_scores_highest(self, make_segmenter):
        volume, _ = heart(slices=5)
        data = volume.data.astype(np.float32)
        blurred = data[2]
        for _ in range(6):
            blurred = (blurred + np.roll(blurred, 1, 0) + np.roll(blurred, 1, 1)) / 3
        data[2] = blurred
        scores = make_segmenter().segment(volume.with_data(data)).slice_scores[0]
        assert scores.argmax() == 2
        assert scores[2] > 2 * np.delete(scores, 2).max()

    def test_scores_of_empty_slices(self, make_segmenter):
        volume, _ = heart(slices=3)
        data = volume.data.copy()
        data[0] = 0
        data[1] = 0
        data[1, 20:30, 20:30] = 240  # just below the line to class 1
        result = make_segmenter().segment(volume.with_data(data))
        assert not result.labels.data[:2].any()
        assert result.slice_scores[0, 0] < 1e-3
        assert result.slice_scores[0, 1] > 0.5
        assert result.scores.uncertainty_mm[0, 1] > 1

    def test_units_of_scores(self, make_segmenter):
        volume, _ = heart(shape=(80, 80))
        soft = make_segmenter(sharpness=15.0)
        doubled = replace(volume, geometry=Geometry((3.0, 3.0, 8.0)))
        small, large = soft.segment(volume).scores, soft.segment(doubled).scores
        for name, factor in (
            ("uncertainty_mm", 2),
            ("uncertainty_cm2", 4),
            ("expected_error_ml", 4),
        ):
            one, other = getattr(small, name), getattr(large, name)
            assert np.allclose(other, factor * one, rtol=1e-5), name
        assert np.allclose(small.expected_dice, large.expected_dice, equal_nan=True)


def test_input_of_the_network(card):
    class Spy(nn.Module):
        def forward(self, images):
            assert torch.is_inference_mode_enabled()
            assert images.is_contiguous(memory_format=torch.channels_last)
            assert images.dtype == torch.float32
            assert images.shape[1:] == (1, 62, 72)  # the columns of this heart run backwards
            assert images.min() >= 0
            assert images.max() <= 1
            return SimpleNamespace(logits=torch.zeros(len(images), 3, 62, 72))

    preprocessing = replace(card.preprocessing, pixel_mm=1.25)
    made = Segmenter(Spy(), replace(card, preprocessing=preprocessing), "cpu")
    made.segment(heart()[0])


def test_volume_is_not_modified(make_segmenter):
    volume, _ = heart()
    before = volume.data.copy()
    volume.data.flags.writeable = False
    make_segmenter(pixel_mm=1.25).segment(volume)
    assert np.array_equal(volume.data, before)


def test_manifest(make_segmenter):
    volume, _ = heart(frames=2)
    made = make_segmenter()
    manifest = made.segment(volume).manifest
    text = json.dumps(manifest)
    assert "Doe" not in text
    assert "/" not in text
    assert manifest["model"]["card_sha256"] == made.card.card_hash
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["device"] == "cpu"
    assert manifest["threads"] == torch.get_num_threads()
    assert manifest["input"]["shape"] == [2, 3, 60, 52]
    assert manifest["input"]["spacing_mm"] == [1.5, 1.5, 8.0]
    seconds = manifest["seconds"]
    assert set(seconds) == {"preprocess", "network", "restore", "total"}
    parts = sum(value for stage, value in seconds.items() if stage != "total")
    assert 0 < parts <= seconds["total"] + 1e-3


@pytest.mark.parametrize(
    ("device", "complaint"),
    [("gpu", "no device called 'gpu'"), ("cuda:99", "CUDA is not available|no GPU 99")],
)
def test_wrong_device(card, device, complaint):
    with pytest.raises(FlomoError, match=complaint):
        Segmenter(nn.Identity(), card, device)


def test_cuda_without_a_gpu(card, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FlomoError, match="CUDA is not available"):
        Segmenter(nn.Identity(), card, "cuda")
    assert Segmenter(nn.Identity(), card, "auto").device == "cpu"
