"""The output of all networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class Auxiliary(NamedTuple):
    """An auxiliary output for the loss.

    ``value`` holds logits ``(N, K, h, w)`` of an intermediate stage, or a scalar penalty; ``kind``
    is ``"logits"``, ``"router_entropy"``, ``"distance"`` or ``"boundary"``; ``stage`` is the
    decoder stage, 1 (coarse) to 4 (fine), or 0 for the whole network.
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
        For the loss; empty at inference.
    maps
        Maps ``(N, 1, h, w)`` for display by name, such as ``"stage3.entropy"``, at the resolution
        of their stages and without gradient.
    """

    logits: Tensor
    aux: list[Auxiliary] = field(default_factory=list)
    maps: dict[str, Tensor] = field(default_factory=dict)
