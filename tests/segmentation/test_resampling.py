"""Band matrices must resample as torch does, and only what the field of view reaches."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, Preprocessing
from napari_flomo.segmentation.extent import box_of, grown
from napari_flomo.segmentation.preprocessing import make_plan, reach, restore
from napari_flomo.segmentation.uncertainty import predictive_entropy

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
def test_the_way_back_is_torchs_interpolation_of_the_whole_image(
    shape: tuple[int, int],
    spacing: tuple[float, float],
    pixel_mm: float | None,
    crop: int | None,
    background: int | None,
) -> None:
    rule = Preprocessing(pixel_mm, crop, IntensityRule("percentile", 0, 100))
    try:
        plan = make_plan(shape, spacing, rule)
    except FlomoError:
        return
    torch.manual_seed(0)
    images = torch.rand(2, 3, *plan.network).softmax(1)
    images = images.contiguous(memory_format=torch.channels_last)

    back = [-pixels for pixels in plan.padding]
    whole = F.pad(images, back)
    if background is not None:
        whole[:, 0] = F.pad(images[:, 0], back, value=1.0)
    smooth = any(new < old for new, old in zip(shape, plan.resampled, strict=True))
    wanted = whole
    if plan.resampled != shape:
        wanted = F.interpolate(whole, size=shape, mode="bilinear", antialias=smooth)

    restored = restore(images, plan, background)
    assert restored.is_contiguous()
    assert torch.allclose(restored, wanted, atol=2e-6)

    outside = torch.ones(shape, dtype=torch.bool)
    outside[reach(plan)] = False
    nothing = torch.tensor([1.0, 0, 0] if background == 0 else [0.0, 0, 0])
    assert (restored[:, :, outside] == nothing[:, None]).all()


def test_gradients_travel_back_after_inference() -> None:
    """What is cached in inference mode must not spoil a later training step."""
    rule = Preprocessing(1.5, 24, IntensityRule("percentile", 0, 100))
    plan = make_plan((41, 37), (1.31, 1.31), rule)
    with torch.inference_mode():
        restore(torch.rand(1, 2, *plan.network), plan)
    images = torch.rand(1, 2, *plan.network, requires_grad=True)
    restore(images, plan)[:, 1].sum().backward()
    assert images.grad is not None
    assert (images.grad[:, 1] > 0).all()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_entropy_is_what_it_is_defined_as(activation: Literal["softmax", "sigmoid"]) -> None:
    torch.manual_seed(1)
    p = torch.randn(3, 4, 9, 11).mul(3).softmax(1)
    p[0, :, 0, 0] = torch.tensor([0.0, 1, 0, 0])
    exact = p.double()
    wanted = torch.special.entr(exact).sum(1) / np.log(4)
    if activation == "sigmoid":
        wanted = (torch.special.entr(exact) + torch.special.entr(1 - exact)).mean(1) / np.log(2)
    found = predictive_entropy(p.contiguous(memory_format=torch.channels_last), activation)
    assert found.shape == (3, 9, 11)
    assert found[0, 0, 0] == 0
    assert torch.allclose(found.double(), wanted, atol=1e-6)


def test_boxes() -> None:
    images = np.zeros((2, 9, 12), np.uint8)
    assert box_of(images, margin=3) == (slice(0, 0), slice(0, 0))
    assert box_of(images[:0]) == (slice(0, 0), slice(0, 0))
    images[0, 4, 10] = images[1, 2, 7] = 200
    assert box_of(images) == (slice(2, 5), slice(7, 11))
    assert box_of(images > 0, margin=3) == (slice(0, 8), slice(4, 12))
    assert grown((slice(0, 9), slice(0, 12)), 1, (9, 12)) == (slice(0, 9), slice(0, 12))
