"""Networks rewritten for inference: the same values, sooner."""

from __future__ import annotations

import copy

import torch
from torch import nn

from napari_flomo.networks.fast_flomo import FastFlomo
from napari_flomo.networks.flomo import FlomoNet


def fast(network: nn.Module, *, maps: bool = True) -> nn.Module:
    """Return a network with the same answers that is quicker and cannot be trained.

    FLoMo-Net is rewritten: norms are folded, the experts of the decoder run before their input is
    doubled, what the logits do not need is left out. Probabilities differ from the plain network's
    by rounding alone. Any other network comes back as a frozen copy.

    Parameters
    ----------
    network
        Of `napari_flomo.networks`; it is not changed, and shares no tensor with the result.
    maps
        Whether ``Output.maps`` is wanted. Without, it is empty, and maps that the logits do not
        depend on are not computed.

    Returns
    -------
    nn.Module
        In evaluation mode, frozen, weights in channels-last memory. It takes what ``network``
        takes and returns an `Output` without ``aux``.
    """
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    quick = FastFlomo(frozen, maps=maps) if isinstance(frozen, FlomoNet) else frozen
    quick = quick.eval().requires_grad_(False)
    return quick.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
