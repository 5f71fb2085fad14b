"""Band matrices resample like torch, restricted to the field of view."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, Preprocessing
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.bounding_box import box_of, grown
from napari_flomo.segmentation.preprocessing import Plan, make_plan, prepare, reach, restore
from napari_flomo.segmentation.scores import predictive_entropy
from napari_flomo.volumes import read


def to_resampled(plan: Plan) -> list[int]:
    """Return the padding that turns the field of view into the whole resampled image."""
    top, left = plan.offset
    bottom, right = np.subtract(plan.resampled, np.add(plan.network, plan.offset)).tolist()
    return [left, right, top, bottom]


SIDES = st.integers(16, 200)
STEPS = st.floats(0.4, 4)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(SIDES, SIDES),
    spacing=st.tuples(STEPS, STEPS),
    pixel_mm=st.sampled_from([None, 1.0, 1.5, 2.5]),
    crop=st.sampled_from([None, 31, 48, 160]),
    background=st.sampled_from([0, None]),
)
def test_restore_equals_interpolating_the_whole_image(shape, spacing, pixel_mm, crop, background):
    rule = Preprocessing(pixel_mm, crop, IntensityRule("percentile", 0, 100))
    try:
        plan = make_plan(shape, spacing, rule)
    except FlomoError:
        return
    torch.manual_seed(0)
    images = torch.rand(2, 3, *plan.network).softmax(1)

    back = to_resampled(plan)
    whole = F.pad(images, back)
    if background is not None:
        whole[:, 0] = F.pad(images[:, 0], back, value=1.0)
    smooth = any(new < old for new, old in zip(shape, plan.resampled, strict=True))
    wanted = whole
    if plan.resampled != shape:
        wanted = F.interpolate(whole, size=shape, mode="bilinear", antialias=smooth)

    restored = restore(images.numpy(), plan, background)
    # PyTorch computes positions in float32.
    assert np.allclose(restored, wanted.numpy(), atol=2e-5)

    outside = np.ones(shape, bool)
    outside[reach(plan)] = False
    nothing = np.array([1.0, 0, 0] if background == 0 else [0.0, 0, 0])
    assert (restored[:, :, outside] == nothing[:, None]).all()


def test_labels_of_a_real_heart(repository):
    """Pixel by pixel over the whole image, with nothing left out."""
    volume = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    segmenter = Segmenter.from_pretrained(DEFAULT_MODEL, "cpu", "eager")
    chosen = [2, 6]
    found = segmenter.segment(volume, slices=chosen, keep_probabilities=True)
    images, plan = prepare(
        volume.data, volume.in_plane_spacing, segmenter.card.preprocessing, chosen
    )
    with torch.inference_mode():
        logits = segmenter.network(torch.from_numpy(images)).logits
        seen = (logits / segmenter.card.temperature).softmax(1)
        back = to_resampled(plan)
        whole = F.pad(seen, back)
        whole[:, 0] = F.pad(seen[:, 0], back, value=1.0)
        shrinks = plan.native[0] < plan.resampled[0] or plan.native[1] < plan.resampled[1]
        p = F.interpolate(whole, size=plan.native, mode="bilinear", antialias=shrinks)
    codes = np.array([label.code for label in segmenter.card.classes])
    labels = codes[p.argmax(1).numpy()]
    assert (labels > 0).sum() > 1000
    best = p.topk(2, 1).values
    sure = (best[:, 0] - best[:, 1] > 1e-4).numpy()
    assert np.array_equal(found.labels.data[chosen][sure], labels[sure])
    assert sure.mean() > 0.999
    kept = found.probabilities.data[:, chosen].swapaxes(0, 1)
    assert np.allclose(kept, p.numpy(), atol=1e-4)
    entropy = torch.special.entr(p.double()).sum(1) / np.log(len(codes))
    assert np.allclose(found.uncertainty["entropy"].data[chosen], entropy.numpy(), atol=1e-3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_predictive_entropy(activation):
    torch.manual_seed(1)
    p = torch.randn(3, 4, 9, 11).mul(3).softmax(1)
    p[0, :, 0, 0] = torch.tensor([0.0, 1, 0, 0])
    exact = p.double()
    wanted = torch.special.entr(exact).sum(1) / np.log(4)
    if activation == "sigmoid":
        wanted = (torch.special.entr(exact) + torch.special.entr(1 - exact)).mean(1) / np.log(2)
    found = predictive_entropy(p.numpy(), activation)
    assert found.shape == (3, 9, 11)
    assert found[0, 0, 0] == 0
    assert np.allclose(found, wanted.numpy(), atol=1e-6)


def test_boxes():
    images = np.zeros((2, 9, 12), np.uint8)
    assert box_of(images, margin=3) == (slice(0, 0), slice(0, 0))
    assert box_of(images[:0]) == (slice(0, 0), slice(0, 0))
    images[0, 4, 10] = images[1, 2, 7] = 200
    assert box_of(images) == (slice(2, 5), slice(7, 11))
    assert box_of(images > 0, margin=3) == (slice(0, 8), slice(4, 12))
    assert grown((slice(0, 9), slice(0, 12)), 1, (9, 12)) == (slice(0, 9), slice(0, 12))
