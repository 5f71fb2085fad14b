"""Engines in lower precision are compared until enough structure pixels were seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine_fakes import SIZE, Fake
from torch import Tensor

from napari_flomo.segmentation.engines import agreement

PIXELS = SIZE[0] * SIZE[1]


def plain(images: Tensor) -> Tensor:
    """A structure everywhere, and the next one is near."""
    logits = torch.zeros(len(images), 3, *SIZE)
    logits[:, 1], logits[:, 2] = 2.0, 1.9
    return logits


def moved(pixels: int) -> Any:
    """Return what moves this many labels in each slice."""

    def run(images: Tensor) -> Tensor:
        logits = plain(images)
        logits[:, 2].flatten(1)[:, :pixels] = 2.1
        return logits

    return run


@pytest.fixture
def enough(monkeypatch):
    """Slices that are enough."""
    monkeypatch.setattr(agreement, "MIN_STRUCTURE_PIXELS", 10 * PIXELS)
    return 10


@pytest.fixture(autouse=True)
def candidates(monkeypatch):
    """Pretend that the processor supports bfloat16."""

    from napari_flomo.segmentation.engines import registry

    monkeypatch.setattr(registry, "computes_in_bfloat16", lambda _: True)


def test_small_differences_add_up(fakes, make, images, enough):
    """Three pixels in a slice of 1024 are few; in ten slices they are too many."""
    made = fakes(eager=lambda: Fake("eager", plain), bf16=lambda: Fake("bf16", moved(3)))
    run = make("bf16", weights=None)
    first = [run(images[:1]) for _ in range(2)]
    assert run.report()["name"] == "bf16"
    assert not torch.equal(first[0].logits, plain(images[:1]))
    assert torch.equal(run(images[:1]).logits, plain(images[:1]))
    reported = run.report()
    assert reported["name"] == "eager"
    assert "bf16 was not used" in reported["reason"]
    assert "Dice of the labels is 0.997" in reported["reason"]
    assert reported["slices"] == {"bf16": 2, "eager": 1}
    assert len(made["bf16"]) == 1


def test_comparison_ends(fakes, make, images, enough):
    made = fakes(eager=lambda: Fake("eager", plain), bf16=lambda: Fake("bf16", moved(0)))
    run = make("bf16", weights=None)
    for _ in range(4):
        run(images)
    (eager,) = made["eager"]
    assert sum(eager.batches) == enough
    assert run.report()["slices"] == {"bf16": 20}


def test_verification_is_cached(fakes, make, images, enough, home):
    made = fakes(eager=lambda: Fake("eager", plain), bf16=lambda: Fake("bf16", moved(0)))
    run = make("bf16")
    run(images)
    again = make("bf16")
    again(images)
    assert made["eager"][-1].batches == [5], "half of it was not enough"
    again(images)
    third = make("bf16")
    third(images)
    third(images)
    assert made["eager"][-1].batches == [1], "one slice, as for all engines"


def test_synthetic_images_do_not_count(fakes, make, images, enough):
    made = fakes(eager=lambda: Fake("eager", plain), bf16=lambda: Fake("bf16", moved(0)))
    run = make("bf16")
    run.warm_up()
    run(images)
    run(images)
    assert made["eager"][0].batches == [1, 5, 5]


def test_fastest_engine_is_compared_further(fakes, make, images, enough):
    """It was measured on a few slices, on which it was good."""
    quick = {"bf16": lambda: Fake("bf16", moved(2), delay=0.001)}
    slow = {name: (lambda n=name: Fake(n, plain, delay=0.01)) for name in ("eager", "fast")}
    fakes(**slow, **quick)
    run = make("fastest")
    run.expect(5)
    run(images)
    run.find_fastest()
    assert run.report()["name"] == "bf16"
    for _ in range(4):
        run(images)
    reported = run.report()
    assert reported["name"] == "fast"
    assert "bf16" in reported["reason"]
    assert torch.equal(run(images).logits, plain(images))
