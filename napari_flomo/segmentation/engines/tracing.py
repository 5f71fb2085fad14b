"""Prepare networks for tracing: rewritten for inference, logits alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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


def example(channels: int, size: tuple[int, int], slices: int = 1) -> Tensor:
    """Return images to trace and compare with: a bright disc in a grey ring, with noise.

    Float32 ``(slices, channels, *size)``, 0 to 1, deterministic; the disc grows from slice to
    slice.
    """
    import torch

    row, column = (torch.linspace(-1, 1, pixels) for pixels in size)
    radius = torch.hypot(row[:, None], column)
    inner = torch.linspace(0.2, 0.4, slices)[:, None, None]
    heart = 0.15 + 0.2 * (radius < 1.4 * inner) + 0.5 * (radius < inner)
    noise = torch.rand((slices, channels, *size), generator=torch.Generator().manual_seed(0))
    images = (heart[:, None] + 0.15 * noise).clamp(0, 1)
    return images.contiguous(memory_format=torch.channels_last)
