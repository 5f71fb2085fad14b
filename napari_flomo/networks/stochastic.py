"""Forward passes that differ from one another, for Monte Carlo estimates of uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from napari_flomo.networks.fias_blocks import MonteCarloAttention


def can_sample(network: nn.Module) -> bool:
    """Tell whether a network has parts that `stochastic_forward` can let draw."""
    return any(isinstance(module, MonteCarloAttention) for module in network.modules())


@contextmanager
def stochastic_forward(network: nn.Module) -> Iterator[None]:
    """Let a network in evaluation mode draw its Monte Carlo attention anew in each pass.

    Norms and dropout stay in evaluation mode. Draws come from PyTorch's generator of the images'
    device, so a seed repeats them. Afterwards the network is deterministic again.

    Parameters
    ----------
    network
        FIAS, or one that holds its `MonteCarloAttention`.

    Raises
    ------
    ValueError
        If the network has no part that draws.

    Examples
    --------
    >>> with torch.no_grad(), stochastic_forward(network):  # doctest: +SKIP
    ...     samples = torch.stack([network(images).logits.softmax(1) for _ in range(20)])
    """
    parts = [module for module in network.modules() if isinstance(module, MonteCarloAttention)]
    if not parts:
        raise ValueError("this network has no part that draws; FIAS has one")
    before = [part.sampling for part in parts]
    for part in parts:
        part.sampling = True
    try:
        yield
    finally:
        for part, value in zip(parts, before, strict=True):
            part.sampling = value
