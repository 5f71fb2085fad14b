"""What engines are made from: the network of a model and its graph, loaded when needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, load_network
from napari_flomo.segmentation.device import INSTALL_TORCH, has_torch
from napari_flomo.segmentation.engines.graphs import (
    cache_graph,
    cached_graph,
    find_graph,
    make_graph,
)

if TYPE_CHECKING:
    from torch import nn


class ModelSource:
    """A model folder with verified weights, or a network in memory.

    Parameters
    ----------
    card
        Of the model.
    folder
        The model folder; None for a network in memory.
    network
        In evaluation mode on ``device``; None loads it from the folder when it is needed first.
    device
        Of the network.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        folder: Path | None = None,
        network: nn.Module | None = None,
        device: str = "cpu",
    ) -> None:
        self.card, self.device = card, device
        self._folder, self._network = folder, network
        self._graphs: dict[tuple[int, int], bytes | Path | None] = {}

    @property
    def network(self) -> nn.Module:
        """The network; raises `FlomoError` without PyTorch."""
        if self._network is None:
            if not has_torch():
                raise FlomoError(
                    f"{self.card.name} has no graph for this task, so it needs PyTorch, which is "
                    f"not installed; run: {INSTALL_TORCH}."
                )
            import torch

            assert self._folder is not None
            network, _card = load_network(self._folder, self.device)
            # Several times faster than NCHW for depthwise and dilated convolutions.
            layout = torch.channels_last
            self._network = network.to(memory_format=layout).eval()  # type: ignore[call-overload]
        return self._network

    def graph(self, size: tuple[int, int]) -> bytes | Path | None:
        """Return the graph for images of a size, in the model folder or the cache, or None."""
        if self._folder is None:
            return self._graphs.get(size)
        if size not in self._graphs:
            known = self.card.graph
            found = None
            if known is not None and tuple(known.size) == size:
                found = find_graph(self._folder, self.card)
            self._graphs[size] = found or cached_graph(self.card.sha256, size)
        return self._graphs[size]

    def make_graph(self, size: tuple[int, int]) -> bytes | Path:
        """Return the graph for images of a size; made from the network, and cached, if missing."""
        found = self.graph(size)
        if found is None:
            found = make_graph(self.network, self.card, size)
            self._graphs[size] = found
            if self._folder is not None:
                cache_graph(self.card.sha256, size, found)
        return found
