"""The network as an engine wants it: rewritten for inference, logits alone, ready to be traced."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def rewritten(network: nn.Module, *, maps: bool) -> nn.Module:
    """Return a copy of a network that says the same in less time, and cannot be trained.

    Parameters
    ----------
    network
        Stays as it is; what is learnt into it later does not reach the rewritten one.
    maps
        Whether the network's own maps are wanted, too.

    Returns
    -------
    torch.nn.Module
        A frozen copy of ``network`` where no rewrite of it is known.
    """
    import torch

    from napari_flomo.networks.fast import fast

    with torch.inference_mode(False), torch.no_grad():  # its tensors may be traced later
        return fast(network, maps=maps)


def logits_only(network: nn.Module) -> nn.Module:
    """Return a rewritten copy that maps images to logits, tensor to tensor, without gradients.

    The copy itself is its module ``inner``.
    """
    from torch import nn

    class Logits(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.inner(image).logits
            return logits

    return Logits(rewritten(network, maps=False)).eval()


@contextmanager
def tracing() -> Iterator[None]:
    """Let PyTorch record a network quietly, also from within a segmentation.

    What it warns of, values of Python that become constants, is meant: a graph is for one size of
    image.
    """
    import torch

    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def example(channels: int, size: tuple[int, int], slices: int = 1) -> Tensor:
    """Return images to record and compare with: a bright disc in a grey ring, in some noise.

    Parameters
    ----------
    channels
        All alike but for the noise.
    size
        Rows and columns.
    slices
        How many; the disc grows from one to the next.

    Returns
    -------
    Tensor
        Float32 ``(slices, channels, rows, columns)``, 0 to 1, always the same.
    """
    import torch

    row, column = (torch.linspace(-1, 1, pixels) for pixels in size)
    radius = torch.hypot(row[:, None], column)
    inner = torch.linspace(0.2, 0.4, slices)[:, None, None]
    heart = 0.15 + 0.2 * (radius < 1.4 * inner) + 0.5 * (radius < inner)
    noise = torch.rand((slices, channels, *size), generator=torch.Generator().manual_seed(0))
    images = (heart[:, None] + 0.15 * noise).clamp(0, 1)
    return images.contiguous(memory_format=torch.channels_last)
