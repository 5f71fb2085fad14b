"""Preprocessing and its inverse do not shift the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, Preprocessing
from napari_flomo.segmentation.preprocessing import (
    Plan,
    make_plan,
    prepare,
    prepare_labels,
    restore,
)

RULE = IntensityRule("percentile", 0, 100)
PHOTO = Preprocessing(None, None, RULE, size=96)


def rule(pixel_mm: float | None = None, crop: int | None = None) -> Preprocessing:
    return Preprocessing(pixel_mm, crop, RULE)


def disc(
    shape: tuple[int, int], spacing: tuple[float, float], centre_mm: tuple[float, float]
) -> np.ndarray:
    """A smooth disc of 12 mm radius, one slice; mm are counted from the image's outer corner."""
    rows = (np.arange(shape[0]) + 0.5) * spacing[0]
    columns = (np.arange(shape[1]) + 0.5) * spacing[1]
    distance = np.hypot(rows[:, None] - centre_mm[0], columns[None] - centre_mm[1])
    return np.clip((12 - distance) / 4 + 0.5, 0, 1)[None]


def centroid_mm(image: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    rows, columns = ((np.arange(n) + 0.5) for n in image.shape)
    weight = image.sum()
    return np.array(
        [
            (image.sum(1) * rows).sum() / weight * spacing[0],
            (image.sum(0) * columns).sum() / weight * spacing[1],
        ]
    )


def as_classes(images: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - images, images], 1)


GRIDS = [
    ((96, 80), (1.5, 1.5)),
    ((97, 81), (1.5625, 1.5625)),  # odd
    ((64, 101), (2.1, 1.3)),  # pixels that are not square
    ((211, 190), (0.70, 0.72)),
    ((96, 80), (1.25, 1.25)),  # already right
]


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
@pytest.mark.parametrize("crop", [None, 89, 160, 161])
@pytest.mark.parametrize("pixel_mm", [None, 1.25, 2.0])
def test_off_centre_structure_stays_in_place(shape, spacing, crop, pixel_mm):
    extent = np.multiply(shape, spacing)
    truth = extent / 2 + (-14.3, 17.7)
    image = disc(shape, spacing, tuple(truth))
    images, plan = prepare(image, spacing, rule(pixel_mm, crop))
    assert images.dtype == np.float32
    assert images.shape == (1, 1, *plan.network)

    # On the network's grid it lies where it should: a shift must not merely cancel on the way back.
    step = extent / plan.resampled
    seen = centroid_mm(images[0, 0], tuple(step)) + np.multiply(plan.offset, step)
    assert np.abs(seen - truth).max() < 0.03 * min(spacing)

    restored = restore(as_classes(images), plan)
    assert restored.shape == (1, 2, *shape)
    back = centroid_mm(restored[0, 1], spacing)
    assert np.abs(back - truth).max() < 0.03 * min(spacing)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
@pytest.mark.parametrize("pixel_mm", [1.25, 2.0])
def test_labels_do_not_shift_on_average(shape, spacing, pixel_mm):
    """One label jumps by whole pixels; over many places only a true shift remains."""
    rng = np.random.default_rng(1)
    centres = np.multiply(shape, spacing) / 2 + rng.uniform(-25, 25, (40, 2))
    image = np.concatenate([disc(shape, spacing, tuple(centre)) for centre in centres])
    images, plan = prepare(image, spacing, rule(pixel_mm))
    labels = restore(as_classes(images), plan).argmax(1)
    found = np.array([centroid_mm(label, spacing) for label in labels])
    assert np.abs((found - centres).mean(0)).max() < 0.04 * min(spacing)


@pytest.mark.parametrize("crop", [None, 30, 31, 48, 64, 65])  # 48 cuts columns and pads rows
def test_exact_pixels_without_resampling(crop):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 5000, (3, 45, 51)).astype(np.int16)
    image[0, 22, 25], image[1, 22, 25] = 0, 5000
    images, plan = prepare(image, (3.0, 1.0), rule(None, crop))
    expected = image.astype(np.float32)[:, None] / 5000
    if crop is None:
        assert np.allclose(images, expected, atol=1e-7)
    restored = restore(as_classes(images), plan)
    top, left = (max(offset, 0) for offset in plan.offset)
    bottom, right = (
        min(offset + size, whole)
        for offset, size, whole in zip(plan.offset, plan.network, (45, 51), strict=True)
    )
    inside = np.s_[:, :, top:bottom, left:right]
    assert np.allclose(restored[:, 1:][inside], expected[inside], atol=1e-7)
    outside = np.ones((3, 1, 45, 51))
    outside[inside] = 0
    assert (restored[:, :1][outside == 1] == 1).all()
    assert (restored[:, 1:][outside == 1] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(20, 70), st.integers(20, 70)),
    spacing=st.tuples(st.floats(0.8, 3), st.floats(0.8, 3)),
    pixel_mm=st.none() | st.floats(0.9, 1.2),
    crop=st.none() | st.integers(16, 90),
)
def test_any_size(shape, spacing, pixel_mm, crop):
    image = np.arange(2 * shape[0] * shape[1], dtype=np.float32).reshape(2, *shape)
    try:
        images, plan = prepare(image, spacing, rule(pixel_mm, crop))
    except FlomoError:
        assert pixel_mm is not None
        assert min(np.multiply(shape, spacing)) / pixel_mm < 16
        return
    assert images.min() >= 0
    assert images.max() <= 1
    restored = restore(as_classes(images), plan)
    assert restored.shape == (2, 2, *shape)
    assert np.allclose(restored.sum(1), 1, atol=1e-5)


def test_downsampling_does_not_alias():
    stripes = np.tile([0.0, 1.0], 60)[None, None].repeat(40, 1)  # finer than the network's pixels
    images, _ = prepare(stripes, (0.5, 0.5), rule(1.25 * 0.999))
    assert images[..., 3:-3].std() < 0.12


class TestIntensity:
    def test_percentiles_and_clipping(self):
        image = np.arange(1001, dtype=np.int16).repeat(32).reshape(1, 143, 224)
        rule = Preprocessing(None, None, IntensityRule("percentile", 10, 90))
        images, _ = prepare(image, (1, 1), rule)
        expected = np.clip((image - 100) / 800, 0, 1)
        assert np.allclose(images[:, 0], expected, atol=2e-3)
        assert images.min() == 0
        assert images.max() == 1

    def test_percentiles_of_the_whole_volume(self):
        image = np.random.default_rng(0).integers(0, 900, (5, 20, 20))
        whole, _ = prepare(image, (1, 1), rule())
        some, _ = prepare(image, (1, 1), rule(), slices=[3, 1])
        assert np.array_equal(some, whole[[3, 1]])

    def test_one_value_only(self):
        images, _ = prepare(np.full((2, 20, 20), 7), (1, 1), rule())
        assert images.shape == (2, 1, 20, 20)
        assert not images.any()

    @pytest.mark.parametrize(
        ("dtype", "offset"),
        [
            ("uint8", 0),
            ("int16", -20000),
            ("uint16", 60000),
            ("int32", 2**30),
            ("uint32", 2**31),
            ("float16", 0),
            ("float32", -1e3),
            ("float64", 1e9),
            (">i2", 0),
            (">f4", 0),
        ],
    )
    def test_types(self, dtype, offset):
        steps = np.arange(400).reshape(1, 20, 20) % 200
        images, _ = prepare((steps + offset).astype(dtype), (1, 1), rule())
        assert np.allclose(images[0, 0], steps[0] / 199, atol=1e-3)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.filterwarnings("error")
    def test_not_finite(self, value):
        image = np.zeros((1, 20, 20))
        image[0, 3, 3] = value
        rule = Preprocessing(None, None, IntensityRule("percentile", 1, 99))
        with pytest.raises(FlomoError, match="NaN or infinite"):
            prepare(image, (1, 1), rule)

    def test_colours(self):
        image = np.random.default_rng(0).integers(0, 255, (1, 20, 30, 3), dtype=np.uint8)
        image.flat[:2] = 0, 255
        images, _ = prepare(image, (1, 1), rule())
        assert np.allclose(images[0, 2], image[0, :, :, 2] / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("spacing", "complaint"),
    [((0.01, 0.01), "2 x 2 pixels of 1.25 mm"), ((100.0, 1.0), "check the spacing")],
)
def test_absurd_spacing(spacing, complaint):
    with pytest.raises(FlomoError, match=complaint):
        make_plan((256, 256), spacing, rule(1.25))


def test_too_small_without_spacing():
    with pytest.raises(FlomoError, match="15 x 40 pixels, but the model needs 16"):
        make_plan((15, 40), (1, 1), rule())


def test_plan_of_the_usual_case():
    plan = make_plan((256, 216), (1.5625, 1.5625), rule(1.25, 160))
    assert plan == Plan((256, 216), (320, 270), (160, 160), (80, 55))


class TestLabels:
    def test_codes_and_place(self):
        shape, spacing, truth = (97, 90), (1.6, 1.5), (80.0, 60.0)
        image = disc(shape, spacing, truth)
        labels = np.zeros(image.shape, np.int16)
        labels[image > 0.2] = 5
        labels[image > 0.8] = 250
        _, plan = prepare(image, spacing, rule(1.25, 128))
        result = prepare_labels(labels, plan)
        assert result.dtype == np.uint8
        assert result.shape == (1, 128, 128)
        assert np.unique(result).tolist() == [0, 5, 250]
        step = np.multiply(shape, spacing) / plan.resampled
        seen = centroid_mm(result[0] > 0, tuple(step)) + np.multiply(plan.offset, step)
        assert np.abs(seen - truth).max() < 0.1

    def test_background_beyond_the_image(self):
        _, plan = prepare(np.random.default_rng(0).random((1, 20, 20)), (1, 1), rule(None, 32))
        result = prepare_labels(np.full((1, 20, 20), 3), plan)
        assert (result == 3).sum() == 400
        assert (result == 0).sum() == 32 * 32 - 400

    def test_exact_without_resampling(self):
        labels = np.random.default_rng(0).integers(0, 4, (3, 33, 34))
        _, plan = prepare(labels, (1, 1), rule())
        assert np.array_equal(prepare_labels(labels, plan), labels)


class TestPhotos:
    @pytest.mark.parametrize(
        ("shape", "resampled"),
        [
            ((288, 384), (72, 96)),
            ((384, 288), (96, 72)),
            ((31, 47), (63, 96)),
            ((96, 96), (96, 96)),
        ],
    )
    def test_longer_side(self, shape, resampled):
        plan = make_plan(shape, (1.0, 1.0), PHOTO)
        assert plan.resampled == plan.network == resampled
        assert plan.native == shape

    @pytest.mark.parametrize("shape", [(288, 384), (61, 47)])
    def test_restore_does_not_shift(self, shape):
        row, column = np.mgrid[: shape[0], : shape[1]]
        middle = (shape[0] * 0.37, shape[1] * 0.61)
        disc = np.hypot(row - middle[0], column - middle[1]) < min(shape) * 0.15
        colours = np.stack([disc * 200, disc * 100, disc * 50], axis=-1).astype(np.uint8)[None]
        images, plan = prepare(colours, (1.0, 1.0), PHOTO)
        assert images.shape == (1, 3, *plan.network)
        classes = prepare_labels(disc[None].astype(np.uint8), plan)
        probabilities = np.moveaxis(np.eye(2, dtype=np.float32)[classes], -1, 1)
        back = restore(probabilities, plan)
        assert back.shape == (1, 2, *shape)
        found = np.argwhere(back[0, 1] > 0.5)
        assert found.mean(0) == pytest.approx(np.argwhere(disc).mean(0), abs=0.6)
        overlap = 2 * (disc & (back[0, 1] > 0.5)).sum() / (disc.sum() + len(found))
        assert overlap > 0.95

    def test_size_with_crop(self):
        plan = make_plan((288, 384), (1.0, 1.0), replace(PHOTO, crop=96))
        assert (plan.resampled, plan.network, plan.offset) == ((72, 96), (96, 96), (-12, 0))

    def test_invalid_sizes(self):
        with pytest.raises(FlomoError, match="would have for the model 96 x 10 pixels"):
            make_plan((960, 100), (1.0, 1.0), PHOTO)
        with pytest.raises(FlomoError, match="exclude each other"):
            replace(PHOTO, pixel_mm=1.0)
        with pytest.raises(FlomoError, match="'size'"):
            replace(PHOTO, size=8)
