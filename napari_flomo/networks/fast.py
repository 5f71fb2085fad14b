"""Networks rewritten for inference: the same values, sooner."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from napari_flomo.networks.blocks import global_average
from napari_flomo.networks.fast_flomo import FastFlomo
from napari_flomo.networks.flomo import FlomoNet
from napari_flomo.networks.flomo_blocks import LoGoMoE
from napari_flomo.networks.folding import fold_norms


def fast(
    network: nn.Module,
    *,
    maps: bool = True,
    skip_below: float = 0.0,
    images: Tensor | None = None,
) -> nn.Module:
    """Return a network with the same answers that is quicker and cannot be trained.

    FLoMo-Net is rewritten: norms are folded, the experts of the decoder run before their input is
    doubled, what the logits do not need is left out. Probabilities differ from the plain network's
    by rounding alone. Of any other network norms are folded where a sequence of layers shows that
    it can be done.

    Parameters
    ----------
    network
        Of `napari_flomo.networks`; it is not changed, and shares no tensor with the result.
    maps
        Whether ``Output.maps`` is wanted. Without, it is empty, and maps that the logits do not
        depend on are not computed.
    skip_below, images
        Above 0 this changes the answers: experts whose routing weight is lower on every one of
        these images ``(N, C, H, W)``, prepared as for the network, are left out for good. The best
        expert of each image stays. Compare the results with those of the plain network first.

    Returns
    -------
    nn.Module
        In evaluation mode, frozen, weights in channels-last memory. It takes what ``network``
        takes and returns an `Output` without ``aux``.

    Raises
    ------
    ValueError
        If experts are to be skipped without images, or of a network that has none.
    """
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    kept = None
    if skip_below > 0:
        if images is None or not isinstance(frozen, FlomoNet):
            raise ValueError("skip_below needs a FLoMo-Net, and images to measure its routing on")
        kept = [_heard(weights, skip_below) for weights in routing(frozen, images)]
    if isinstance(frozen, FlomoNet):
        quick: nn.Module = FastFlomo(frozen, maps=maps, kept=kept)
    else:
        fold_norms(frozen)
        quick = frozen
    quick = quick.eval().requires_grad_(False)
    return quick.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def routing(network: FlomoNet, images: Tensor) -> list[Tensor]:
    """Return the weights of the experts, ``(N, 7)`` for each stage, first encoder, then decoder.

    Parameters
    ----------
    network
        In evaluation mode.
    images
        ``(N, C, H, W)``, prepared as for the network.
    """
    weights: list[Tensor] = []

    def listen(module: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(module, LoGoMoE)
        weights.append(module.route(global_average(inputs[0])))

    experts = [module for module in network.modules() if isinstance(module, LoGoMoE)]
    hooks = [module.register_forward_pre_hook(listen) for module in experts]
    try:
        with torch.inference_mode():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return weights


def _heard(weights: Tensor, least: float) -> list[int]:
    """Return the numbers of experts that some image gives this weight, or none a higher one."""
    heard = (weights >= least) | (weights == weights.amax(1, keepdim=True))
    return [number for number, one in enumerate(heard.any(0).tolist()) if one]
