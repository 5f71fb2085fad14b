"""FPFN-CAM rewritten for inference."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import cosine_disagreement, double_size_bilinear, entropy_map
from napari_flomo.networks.flomo_blocks import FPFN


class FastFPFN(nn.Module):
    """Fusion of a skip with the decoder, corrected where the two disagree.

    In reference form the masks depend on nothing but the position; entropy and cosine are then
    computed only if the maps are asked for.

    Parameters
    ----------
    plain
        The module to rewrite; its tensors are taken over, so hand in a copy.
    maps
        Whether to return the maps.
    """

    def __init__(self, plain: FPFN, *, maps: bool) -> None:
        super().__init__()
        self.maps = maps
        self.plain = plain
        self.informed = plain.form.spatial_uncertainty

    def forward(self, skip: Tensor, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fused features and, if wanted, the maps; as `FPFN.forward` does."""
        own = self.plain
        encoder = F.relu(own.encoder_proj(skip))
        decoder = F.relu(own.decoder_proj(maps))
        cross = own.cross_gate(encoder)
        if encoder.shape[-2] < decoder.shape[-2]:
            encoder, cross = double_size_bilinear(encoder), double_size_bilinear(cross)
        fused = F.relu(own.fuse_conv(encoder + decoder * cross.sigmoid()))
        if self.informed or self.maps:
            entropy = entropy_map(own.entropy_logits(F.relu(own.entropy_depthwise(fused))))
            cosine = cosine_disagreement(encoder, decoder)
            doubt = torch.cat([own.entropy_norm(entropy), own.cosine_norm(cosine)], 1)
        else:
            one = fused[:, :1]
            doubt = torch.cat([own.entropy_norm(one), own.cosine_norm(one)], 1)
        trust = 1 - own.uncertainty_weight(doubt).sigmoid()
        corrective = own.correction_gate(doubt).sigmoid()
        correction = F.relu(own.correction_conv(fused * corrective))
        result = F.gelu(own.output_conv(fused * trust + correction + decoder))
        if not self.maps:
            return result, {}
        seen = {"entropy": entropy, "cosine": cosine, "trust": trust, "corrective": corrective}
        return result, seen
