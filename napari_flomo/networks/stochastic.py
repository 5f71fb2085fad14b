"""Forward passes that differ from one another, for Monte Carlo estimates of uncertainty."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from napari_flomo.networks.fias_blocks import MonteCarloAttention
from napari_flomo.networks.output import Output


def can_sample(network: nn.Module) -> bool:
    """Return True if a network has parts that `stochastic_forward` and `Draws` can let draw."""
    return bool(_parts(network))


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
    """Passes with fixed draws of the Monte Carlo attention, the same for every image.

    Each pass has another combination of grids: no draw is spent on an answer that is there
    already. As the combinations depend on the seed alone, an image gets the same answers in any
    batch. The passes are done by a twin that shares the network's weights: the network itself stays
    deterministic, also for another thread that uses it.

    Parameters
    ----------
    network
        FIAS, or one that holds its `MonteCarloAttention`, in evaluation mode.
    passes
        How many combinations to draw, without putting any back.
    seed
        Of the draws.

    Attributes
    ----------
    combinations
        The index of each part's grid, for every pass.

    Raises
    ------
    ValueError
        If the network has no part that draws, or has fewer combinations than that.
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
        """Return what the network says of some images in one pass.

        Parameters
        ----------
        images
            ``(N, channels, H, W)``.
        number
            Of the pass, from 0.
        """
        for part, grid in zip(_parts(self._twin), self.combinations[number], strict=True):
            part.drawn = grid
        output: Output = self._twin(images)
        return output


def _parts(network: nn.Module) -> list[MonteCarloAttention]:
    return [module for module in network.modules() if isinstance(module, MonteCarloAttention)]


def _parts_of(network: nn.Module) -> list[MonteCarloAttention]:
    parts = _parts(network)
    if not parts:
        raise ValueError("this network has no part that draws; FIAS has one")
    return parts
