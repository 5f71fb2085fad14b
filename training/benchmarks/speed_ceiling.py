"""Measure the rate of convolutions that libraries are optimised for: a limit of the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from speed_report import ConvolutionRate
from timing import time_in_turns
from torch import Tensor, nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_card
from napari_flomo.networks import Output
from napari_flomo.segmentation.engines import ENGINES, ModelSource, make_engine

CHANNELS = 64
SIDE = 96
LAYERS = 4


class Dense(nn.Module):
    """A stack of 3x3 convolutions with a constant number of channels."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(LAYERS)]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Output:
        """Map ``(N, 64, H, W)`` to the same shape."""
        return Output(self.layers(image))


def multiply_adds() -> int:
    """Return the multiply-adds of `Dense` on one image."""
    return LAYERS * (CHANNELS * 3 * SIDE) ** 2


def measure_convolution_rates(names: Sequence[str], runs: int) -> list[ConvolutionRate]:
    """Time the convolutions on several engines, alternately for a number of rounds."""
    torch.manual_seed(0)
    network = Dense().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    card = replace(load_card(DEFAULT_MODEL), in_channels=CHANNELS)
    source = ModelSource(card, network=network)
    engines = [make_engine(name, source, (SIDE, SIDE)) for name in names]
    tasks = {}
    for name, engine in zip(names, engines, strict=True):
        images = torch.rand(engine.batch or 1, CHANNELS, SIDE, SIDE).numpy()
        tasks[name, len(images)] = partial(engine, images)
    times = time_in_turns(tasks, runs)
    return [
        ConvolutionRate(
            name, ENGINES[name].precision, [count * multiply_adds() / one for one in seconds]
        )
        for (name, count), seconds in times.items()
    ]
