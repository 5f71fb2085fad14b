"""The form of FLoMo-Net: corrections of the reference, and parts that an ablation can replace."""

from __future__ import annotations

from dataclasses import dataclass

EXPERTS = ((3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (5, 3), (7, 1))
"""Kernel size and dilation of each expert of LoGo-MoE."""

FREQUENCIES = 16
"""DCT coefficients kept along each axis."""


CHOICES = {
    "routing": ("soft", "topk", "uniform"),
    "attention": ("dasa", "none"),
    "bridge": ("famsr", "conv"),
    "fusion": ("fpfn", "conv"),
}
"""Parts that an ablation can replace, and their alternatives."""


@dataclass(frozen=True)
class Form:
    """Which corrections of the reference are on, and which parts an ablation replaces.

    Attributes
    ----------
    spatial_uncertainty
        FPFN normalises entropy and cosine maps over space. The reference normalises over one
        channel, so both maps are constant.
    learned_pooling
        DASA learns the weights of average and maximum. In the reference both are 0.5.
    global_gate
        LoGo-MoE gates its global vector. The reference computes this gate but does not use it.
    inverse_dct
        FAMSR transforms its frequency branch back to space before adding it to the spatial branch,
        which also allows inputs that are not square or larger than 256 pixels. The reference adds
        (transposed) coefficients to pixels.
    frequency_split
        The low and high chains of FAMSR see the low and the high half of the spectrum. In the
        reference both see all of it.
    unit_input
        The network takes intensities between 0 and 1. The reference takes 0 to 255.
    any_size
        Inputs are padded to a multiple of 16, and the padding is cropped from the logits.
    norm_momentum
        Momentum of the batch norms (0.01 in the reference, which needs many hundred steps).
    routing, top_k
        ``"soft"`` mixes all experts, ``"topk"`` only the ``top_k`` best of each image,
        ``"uniform"`` all with equal weights and no router.
    router_entropy
        Weight of the router's entropy in the loss; 0 leaves it out.
    attention
        ``"dasa"`` or ``"none"``.
    bridge
        ``"famsr"``, or ``"conv"``: one 3x3 convolution with norm and GELU.
    fusion
        ``"fpfn"``, or ``"conv"``: skip and decoder concatenated, then one 3x3 convolution with norm
        and GELU, as in a U-Net; there are then no uncertainty maps.
    """

    spatial_uncertainty: bool = True
    learned_pooling: bool = True
    global_gate: bool = True
    inverse_dct: bool = True
    frequency_split: bool = True
    unit_input: bool = True
    any_size: bool = True
    norm_momentum: float = 0.1
    routing: str = "soft"
    top_k: int = 2
    router_entropy: float = 0.0
    attention: str = "dasa"
    bridge: str = "famsr"
    fusion: str = "fpfn"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(map(repr, choices))
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}")
        if not 1 <= self.top_k <= len(EXPERTS):
            raise ValueError(f"top_k must lie between 1 and {len(EXPERTS)}, not {self.top_k}")


REFERENCE = Form(
    spatial_uncertainty=False,
    learned_pooling=False,
    global_gate=False,
    inverse_dct=False,
    frequency_split=False,
    unit_input=False,
    any_size=False,
    norm_momentum=0.01,
)
