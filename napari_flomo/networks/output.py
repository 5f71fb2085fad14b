"""What every network of the project returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class Auxiliary(NamedTuple):
    """A by-product of the forward pass that a loss may read.

    Attributes
    ----------
    value
        A tensor: logits ``(N, K, h, w)`` of an intermediate stage, or a scalar penalty.
    kind
        What it is: ``"logits"`` or ``"router_entropy"``.
    stage
        Decoder stage it belongs to, 1 (coarse) to 4 (fine); 0 for the whole network.
    """

    value: Tensor
    kind: str
    stage: int


@dataclass(frozen=True)
class Output:
    """Result of one forward pass.

    Attributes
    ----------
    logits
        ``(N, K, H, W)``, before sigmoid or softmax, at the size of the input.
    aux
        By-products for the loss; empty at inference.
    maps
        Named maps ``(N, 1, h, w)`` for people to look at, each at its own stage's resolution,
        for example ``"stage3.entropy"``. They carry no gradient.
    """

    logits: Tensor
    aux: list[Auxiliary] = field(default_factory=list)
    maps: dict[str, Tensor] = field(default_factory=dict)
