"""A small network, and fake engines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_flomo import networks
from napari_flomo.segmentation.engines import ENGINES, unavailable_reason
from napari_flomo.segmentation.engines.pytorch import TorchEngine
from napari_flomo.segmentation.output import Output

SIZE = (32, 32)


def need(engine: str) -> None:
    """Skip the test if an engine cannot run here."""
    reason = unavailable_reason(ENGINES[engine], "cpu")
    if reason is not None:
        pytest.skip(reason)


def truth_of(network: nn.Module, images: NDArray[np.float32], *, maps: bool = False) -> Output:
    """Return the output of a network in PyTorch."""
    return TorchEngine(ENGINES["eager"], network, "cpu")(images, maps=maps)


class Small(nn.Module):
    """One convolution, with an uncertainty map."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, classes, 3, padding=1)

    def forward(self, images: Tensor) -> networks.Output:
        logits = 3 * self.layer(images)
        maps = {"stage4.entropy": logits.mean(1, keepdim=True).sigmoid()}
        return networks.Output(logits, maps=maps)


class Fake:
    """An engine made of a function from images to logits, that notes its batches."""

    batch, threads = None, 1

    def __init__(
        self, name: str, run: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> None:
        self.kind, self.run = ENGINES[name], run
        self.batches: list[int] = []

    def __call__(self, images: NDArray[np.float32], *, maps: bool = False) -> Output:
        assert self.kind.maps or not maps
        self.batches.append(len(images))
        return Output(self.run(images))
