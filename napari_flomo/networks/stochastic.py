"""Stochastic forward passes, for Monte Carlo estimates of uncertainty."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from napari_flomo.networks.fias_blocks import MonteCarloAttention
from napari_flomo.networks.output import Output


def can_sample(network: nn.Module) -> bool:
    """Return True if a network has Monte Carlo attention."""
    return bool(_parts(network))


@contextmanager
def stochastic_forward(network: nn.Module) -> Iterator[None]:
    """Sample the Monte Carlo attention of a network in evaluation mode in each pass.

    Norms and dropout stay in evaluation mode. Samples come from PyTorch's generator of the images'
    device, so seeds reproduce them. Afterwards the network is deterministic again. Raises
    `ValueError` unless the network is FIAS or contains its `MonteCarloAttention`.

    Examples
    --------
    >>> with torch.no_grad(), stochastic_forward(network):  # doctest: +SKIP
    ...     samples = torch.stack([network(images).logits.softmax(1) for _ in range(20)])
    """
    parts = _parts_of(network)
    before = [part.sampling for part in parts]
    for part in parts:
        part.sampling = True
    try:
        yield
    finally:
        for part, value in zip(parts, before, strict=True):
            part.sampling = value


class Draws:
    """Passes with fixed samples of the Monte Carlo attention, the same for every image.

    Each pass uses another combination of grids. The combinations depend only on the seed, so an
    image gives the same results in any batch. The passes run in a copy that shares the network's
    weights: the network itself stays deterministic, also for other threads.

    Parameters
    ----------
    network
        FIAS, or a network that contains its `MonteCarloAttention`, in evaluation mode.
    passes
        Number of combinations, drawn without replacement.
    seed
        Of the random generator.

    Raises
    ------
    ValueError
        If the network has no Monte Carlo attention, or fewer combinations than passes.
    """

    def __init__(self, network: nn.Module, passes: int, seed: int = 0) -> None:
        parts, grids = len(_parts_of(network)), len(MonteCarloAttention.GRIDS)
        if not 0 < passes <= grids**parts:
            raise ValueError(f"there are {grids**parts} combinations, so not {passes} passes")
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(grids**parts, generator=generator)[:passes].tolist()
        self.combinations = [
            tuple(number // grids**place % grids for place in range(parts)) for number in drawn
        ]
        weights = {id(one): one for one in (*network.parameters(), *network.buffers())}
        self._twin = copy.deepcopy(network, weights)

    def __len__(self) -> int:
        return len(self.combinations)

    def __call__(self, images: Tensor, number: int) -> Output:
        """Return the output of pass ``number`` for images ``(N, channels, H, W)``."""
        for part, grid in zip(_parts(self._twin), self.combinations[number], strict=True):
            part.drawn = grid
        output: Output = self._twin(images)
        return output


def _parts(network: nn.Module) -> list[MonteCarloAttention]:
    return [module for module in network.modules() if isinstance(module, MonteCarloAttention)]


def _parts_of(network: nn.Module) -> list[MonteCarloAttention]:
    parts = _parts(network)
    if not parts:
        raise ValueError("this network has no Monte Carlo attention; FIAS has one")
    return parts
