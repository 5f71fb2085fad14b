"""Measure the rate of convolutions that libraries are optimised for: a limit of the processor."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from speed_report import ConvolutionRate
from torch import Tensor, nn

from napari_flomo.networks import Output
from napari_flomo.segmentation.engines import ENGINES, make_engine

CHANNELS = 128
SIDE = 96
LAYERS = 4


class Dense(nn.Module):
    """A stack of 3x3 convolutions with a constant number of channels."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(LAYERS)]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Output:
        """Map ``(N, 128, H, W)`` to the same shape."""
        return Output(self.layers(image))


def multiply_adds() -> int:
    """Return the multiply-adds of `Dense` on one image."""
    return LAYERS * (CHANNELS * 3 * SIDE) ** 2


def measure_convolution_rates(names: Sequence[str], runs: int) -> list[ConvolutionRate]:
    """Time the convolutions on several engines, alternately for a number of rounds."""
    torch.manual_seed(0)
    network = Dense().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    cpu = torch.device("cpu")
    engines = [
        make_engine(name, network, channels=CHANNELS, size=(SIDE, SIDE), device=cpu)
        for name in names
    ]
    rates = [ConvolutionRate(name, ENGINES[name].precision) for name in names]
    with torch.inference_mode():
        for turn in range(runs + 1):
            for engine, rate in zip(engines, rates, strict=True):
                images = torch.rand(engine.batch or 1, CHANNELS, SIDE, SIDE)
                images = images.to(memory_format=torch.channels_last)
                start = time.perf_counter()
                engine(images)
                seconds = time.perf_counter() - start
                if turn:  # the first round includes preparation
                    rate.per_second.append(len(images) * multiply_adds() / seconds)
    return rates
