"""Prepare networks for tracing: rewritten for inference, logits alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from napari_flomo.segmentation.resampling import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn


def fast_copy(network: nn.Module) -> nn.Module:
    """Return `napari_flomo.networks.fast` of a network, also from within inference mode."""
    import torch

    from napari_flomo.networks import fast

    with torch.inference_mode(False), torch.no_grad():  # its tensors may be traced later
        return fast(network)


def logits_only(network: nn.Module) -> nn.Module:
    """Return a `fast_copy` that maps an image tensor to a tensor of logits."""
    from torch import nn

    class Logits(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.inner(image).logits
            return logits

    return Logits(fast_copy(network)).eval()


@contextmanager
def tracing() -> Iterator[None]:
    """Trace without gradients and warnings, also from within inference mode.

    PyTorch warns of Python values that become constants; this is intended, since a graph is for one
    image size.
    """
    import torch

    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def example(channels: int, size: tuple[int, int], slices: int = 1) -> Floats:
    """Return images to trace and compare with: a bright disc in a grey ring, with noise.

    Float32 ``(slices, channels, *size)``, 0 to 1, deterministic; the disc grows from slice to
    slice.
    """
    row, column = (np.linspace(-1, 1, pixels, dtype=np.float32) for pixels in size)
    radius = np.hypot(row[:, None], column)
    inner = np.linspace(0.2, 0.4, slices, dtype=np.float32)[:, None, None]
    heart = 0.15 + 0.2 * (radius < 1.4 * inner) + 0.5 * (radius < inner)
    noise = np.random.default_rng(0).random((slices, channels, *size), np.float32)
    return np.asarray((heart[:, None] + 0.15 * noise).clip(0, 1), np.float32)


def example_tensor(channels: int, size: tuple[int, int], slices: int = 1) -> Tensor:
    """Return an `example` as a tensor."""
    import torch

    return torch.from_numpy(example(channels, size, slices))
