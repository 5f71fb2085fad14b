"""Passes through the network: progress, cancelling, batches and lack of memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hearts import heart, soft_ring

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.segmentation import batches, passes_of
from napari_flomo.segmentation.tta import MIRRORED, VIEWS

VIEWED = ("tta_entropy", "mutual_information", "variance")
GPU = torch.cuda.OutOfMemoryError("CUDA out of memory")
CPU = RuntimeError("DefaultCPUAllocator: not enough memory")


@pytest.fixture
def one_by_one(monkeypatch):
    monkeypatch.setattr(batches, "CPU_PIXELS", 1)


@pytest.mark.parametrize(
    ("maps", "mirrored", "passes"),
    [
        ((), False, 1),
        (VIEWED, False, len(VIEWS)),
        ((), True, len(MIRRORED)),
        (("entropy", "variance"), True, len(VIEWS)),
    ],
)
def test_progress_and_cancel(make_segmenter, one_by_one, maps, mirrored, passes):
    volume, _ = heart(frames=2)
    options = {"maps": maps, "mirrored": mirrored}
    made, seen, total = make_segmenter(), [], 2 * 3 * passes
    made.segment(volume, **options, progress=lambda one: seen.append((one.done, one.total)))
    assert passes_of(maps, mirrored=mirrored) == passes
    assert seen == [(done, total) for done in range(total + 1)]
    assert made.network.batches == [1] * total
    made.network.batches.clear()
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        made.segment(volume, **options, cancelled=lambda: next(answers))
    assert made.network.batches == [1, 1]


def test_result_does_not_depend_on_batch_size(make_segmenter, one_by_one, monkeypatch):
    volume, _ = heart(slices=5)
    made = make_segmenter(pixel_mm=1.25)
    alone = made.segment(volume)
    monkeypatch.setattr(batches, "CPU_PIXELS", 10**9)
    together = made.segment(volume)
    assert made.network.batches == [1] * 5 + [5]
    assert np.allclose(alone.probabilities.data, together.probabilities.data, atol=1e-6)
    assert np.array_equal(alone.labels.data, together.labels.data)


@pytest.mark.parametrize("error", [GPU, CPU])
def test_out_of_memory_halves_the_batch(make_segmenter, monkeypatch, error):
    monkeypatch.setattr(batches, "CPU_PIXELS", 10**9)
    volume, codes = heart(slices=7)
    made, seen = make_segmenter(), []
    forward = made.network.forward

    def small(images):
        if len(images) > 2:
            raise error
        return forward(images)

    monkeypatch.setattr(made.network, "forward", small)
    result = made.segment(volume, progress=lambda reported: seen.append(reported.done))
    assert np.array_equal(result.labels.data, codes)
    assert made.network.batches == [1] * 7  # 7 -> 3 -> 1
    assert seen == list(range(8))
    assert result.manifest["batch"] == 1


def test_out_of_memory_between_passes(make_segmenter, monkeypatch):
    volume, made = soft_ring(), make_segmenter(sharpness=20)
    expected = made.segment(volume, maps=VIEWED)
    forward, calls = made.network.forward, iter(range(1000))

    def tight(images):
        if next(calls) == 5:
            raise GPU
        return forward(images)

    monkeypatch.setattr(made.network, "forward", tight)
    seen = []
    result = made.segment(volume, maps=VIEWED, progress=lambda reported: seen.append(reported.done))
    assert seen == sorted(set(seen))
    assert seen[-1] == 3 * len(VIEWS)
    for name in VIEWED:
        found, wanted = result.uncertainty[name].data, expected.uncertainty[name].data
        assert np.allclose(found, wanted, atol=1e-6)


def test_out_of_memory_for_one_slice(make_segmenter, monkeypatch):
    def none(_):
        raise GPU

    made = make_segmenter()
    monkeypatch.setattr(made.network, "forward", none)
    with pytest.raises(FlomoError, match=r"even for one slice; .* choose the device cpu"):
        made.segment(heart()[0])
