"""What the processor can do: the pace of the convolutions that libraries are best at."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from speed_report import Pace
from torch import Tensor, nn

from napari_flomo.networks import Output
from napari_flomo.segmentation.engines import ENGINES, make_engine

CHANNELS = 128
SIDE = 96
LAYERS = 4


class Dense(nn.Module):
    """Nothing but 3x3 convolutions between as many channels, the kindest work there is."""

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


def measure_paces(names: Sequence[str], runs: int) -> list[Pace]:
    """Time the convolutions on several engines, everyone in turn, as many rounds as asked for."""
    torch.manual_seed(0)
    network = Dense().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    cpu = torch.device("cpu")
    engines = [
        make_engine(name, network, channels=CHANNELS, size=(SIDE, SIDE), device=cpu)
        for name in names
    ]
    paces = [Pace(name, ENGINES[name].precision) for name in names]
    with torch.inference_mode():
        for turn in range(runs + 1):
            for engine, pace in zip(engines, paces, strict=True):
                images = torch.rand(engine.batch or 1, CHANNELS, SIDE, SIDE)
                images = images.to(memory_format=torch.channels_last)
                start = time.perf_counter()
                engine(images)
                seconds = time.perf_counter() - start
                if turn:  # the first one sets things up
                    pace.per_second.append(len(images) * multiply_adds() / seconds)
    return paces
