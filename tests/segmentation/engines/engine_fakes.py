"""Fake networks and engines, with a fake clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from napari_flomo.networks import Output
from napari_flomo.segmentation.engines import ENGINES, unavailable_reason

CPU = torch.device("cpu")
SIZE = (32, 32)


def need(engine: str) -> None:
    """Skip the test if an engine cannot run here."""
    reason = unavailable_reason(ENGINES[engine], CPU)
    if reason is not None:
        pytest.skip(reason)


class Small(nn.Module):
    """One convolution, with an uncertainty map."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, classes, 3, padding=1)

    def forward(self, images: Tensor) -> Output:
        logits = 3 * self.layer(images)
        return Output(logits, maps={"stage4.entropy": logits.mean(1, keepdim=True).sigmoid()})


class Clock:
    """A clock that only engines advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


CLOCK = Clock()


class Fake:
    """An engine made of a function from images to logits, that notes what it was given."""

    def __init__(
        self,
        name: str,
        run: Callable[[Tensor], Tensor],
        *,
        delay: float = 0.0,
        batch: int | None = None,
    ) -> None:
        self.kind = ENGINES[name]
        self.batch, self.threads = batch, 1
        self.run, self.delay = run, delay
        self.batches: list[int] = []

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        if maps and not self.kind.maps:
            raise AssertionError("was asked for maps that it does not have")
        self.batches.append(len(images))
        CLOCK.now += self.delay * len(images)
        found = {"stage4.entropy": images} if maps else {}
        return Output(self.run(images), maps=found)


def slow_and_quick(network: nn.Module) -> dict[str, Callable[[], Fake]]:
    """OpenVINO is the fastest and slow to start; ONNX Runtime is wrong."""

    def right(images: Tensor) -> Tensor:
        return network(images).logits

    def slow_start(engine: Fake) -> Fake:
        CLOCK.now += 0.1
        return engine

    return {
        "eager": lambda: Fake("eager", right, delay=0.008),
        "fast": lambda: Fake("fast", right, delay=0.006),
        "openvino": lambda: slow_start(Fake("openvino", right, delay=0.001, batch=2)),
        "onnxruntime": lambda: Fake("onnxruntime", torch.neg),
    }
