"""Initialisation of the weights of a new network."""

from __future__ import annotations

import math

import torch
from torch import nn

OPEN_GATE_BIAS = 2.0
"""Bias of gates that only attenuate: they start at sigmoid(2) = 0.88 instead of 0.5."""

OPEN_GATES = ("channel_fc2", "spatial_pointwise", "se_fc2", "retention_fc", "gate_fc2")


def initialise(network: nn.Module, scheme: str) -> None:
    """Initialise all convolutions and dense layers of a network in place.

    Parameters
    ----------
    network
        Its norms keep gain 1 and bias 0.
    scheme
        ``"keras"``: Glorot uniform and zero biases with Keras' fans, which for a depthwise kernel
        count its channels, so that the signal vanishes in deep stacks.
        ``"variance"``: Kaiming normal with the true fan-in, which preserves the variance through
        ReLUs, and gates that start open.
    """
    if scheme not in ("keras", "variance"):
        raise ValueError(f"unknown initialisation {scheme!r}; use 'variance' or 'keras'")
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if scheme == "keras":
            _glorot(module)
        else:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
            gates = scheme == "variance" and name.rsplit(".", 1)[-1] in OPEN_GATES
            # FAMSR has a 1x1 layer of the same name as DASA's pixel gate, which is no gate.
            if gates and not (name.endswith("spatial_pointwise") and module.weight.shape[0] > 1):
                nn.init.constant_(module.bias, OPEN_GATE_BIAS)


def _glorot(module: nn.Conv2d | nn.Linear) -> None:
    """Sample from Keras' Glorot uniform distribution."""
    weight = module.weight
    area = weight[0, 0].numel()
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        fan_in, fan_out = area * weight.shape[0], area
    else:
        fan_in, fan_out = area * weight.shape[1], area * weight.shape[0]
    limit = math.sqrt(6 / (fan_in + fan_out))
    with torch.no_grad():
        weight.uniform_(-limit, limit)
