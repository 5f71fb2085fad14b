"""The modules of FLoMo-Net: LoGo-MoE, DASA, FAMSR, FPFN-CAM, and plain ones for ablations.

Source: FLoMo-Net (WACV 2026) and its official Keras code. Where that code differs from what the
text describes, `Form` has a switch for the correction; with all of them off the network is the
*reference form*, which equals the official one weight for weight. Maps are ``(N, C, H, W)``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import (
    KERAS_EPS,
    Expert,
    SameDownsample,
    SpatialNorm,
    average_pool_same,
    batch_norm,
    cosine_disagreement,
    entropy_map,
    global_average,
    global_max,
    pointwise,
    upsample_bilinear,
)
from napari_flomo.networks.convolutions import DepthwiseConv2d, resize
from napari_flomo.networks.dct import dct2, idct2
from napari_flomo.networks.form import EXPERTS, FREQUENCIES, Form
from napari_flomo.networks.gates import apply_gate


def routing_weights(mean: Tensor, router: nn.Module | None, form: Form) -> Tensor:
    """Return the weight of each expert ``(N, 7)`` from the channel means ``(N, C)``."""
    if router is None:
        return mean.new_full((len(mean), len(EXPERTS)), 1 / len(EXPERTS))
    logits = router(mean)
    if form.routing == "topk":
        kept = torch.zeros_like(logits).scatter(1, logits.topk(form.top_k).indices, 1.0)
        logits = logits - 1e9 * (1 - kept)
    return logits.softmax(1)


class LoGoMoE(nn.Module):
    """Local-global mixture of experts.

    Seven experts with different receptive fields see the same input; a router weighs them by the
    channel means of the image. A gate then blends their mixture with a global vector in each pixel.
    In the encoder (``downsample``) a final convolution halves the resolution.
    """

    def __init__(self, channels: int, features: int, downsample: bool, form: Form) -> None:
        super().__init__()
        self.form = form
        self.experts = nn.ModuleList(Expert(channels, features, k, d) for k, d in EXPERTS)
        self.router = None if form.routing == "uniform" else nn.Linear(channels, len(EXPERTS))
        self.global_proj = pointwise(channels, features)
        if form.global_gate:
            self.global_fc1 = nn.Linear(features, features // 4)
            self.global_fc2 = nn.Linear(features // 4, features)
        self.gate_conv = nn.Conv2d(features, features, 3, padding=1)
        self.gate_norm = batch_norm(features, form.norm_momentum)
        self.refine_depthwise = DepthwiseConv2d(features, 3)
        self.refine_norm = batch_norm(features, form.norm_momentum)
        self.downsample = SameDownsample(features, features) if downsample else None

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and the router's entropy, a scalar in nats averaged over images."""
        mean = global_average(maps)
        weights = routing_weights(mean, self.router, self.form)
        local = sum(
            weight[:, None, None, None] * expert(maps)
            for weight, expert in zip(weights.unbind(1), self.experts, strict=True)
        )
        whole = F.relu(self.global_proj(mean[:, :, None, None]))
        if self.form.global_gate:
            hidden = F.relu(self.global_fc1(whole.flatten(1)))
            whole = apply_gate(whole, self.global_fc2(hidden))
        gate = self.gate_norm(self.gate_conv(local - whole)).sigmoid()
        mixed = torch.lerp(whole.expand_as(local), local, gate)
        mixed = self.refine_norm(F.gelu(self.refine_depthwise(mixed)))
        if self.downsample is not None:
            mixed = F.gelu(self.downsample(mixed))
        entropy = -(weights * (weights + 1e-8).log()).sum(1).mean()
        return mixed, entropy


class DASA(nn.Module):
    """Dual attention: a channel gate from pooled and DCT statistics, then a pixel gate."""

    def __init__(self, channels: int, form: Form, reduction: int = 8) -> None:
        super().__init__()
        hidden = channels // reduction
        self.channel_norm = nn.LayerNorm(5 * channels, eps=KERAS_EPS)
        self.channel_fc1 = nn.Linear(5 * channels, hidden)
        self.channel_fc2 = nn.Linear(hidden, channels)
        self.spatial_depthwise = nn.Conv2d(1, 1, 7, padding=3)
        self.spatial_pointwise = pointwise(1, 1)
        self.pooling = nn.Parameter(torch.full((2,), 0.5)) if form.learned_pooling else None

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``maps`` gated by channel and by pixel."""
        spectrum = dct2(maps, FREQUENCIES)
        descriptor = torch.cat(
            [
                global_average(maps),
                global_max(maps),
                global_average(spectrum),
                global_max(spectrum),
                global_average(average_pool_same(average_pool_same(maps))),
            ],
            1,
        )
        hidden = F.relu(self.channel_fc1(self.channel_norm(descriptor)))
        maps = apply_gate(maps, self.channel_fc2(hidden))
        mean, peak = maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)
        if self.pooling is None:
            summary = 0.5 * mean + 0.5 * peak
        else:
            weight = self.pooling.softmax(0)
            summary = weight[0] * mean + weight[1] * peak
        return apply_gate(maps, self.spatial_pointwise(self.spatial_depthwise(summary)))


class FAMSR(nn.Module):
    """The bridge: a frequency branch and a multi-scale spatial branch, each with gates."""

    def __init__(self, channels: int, features: int, form: Form) -> None:
        super().__init__()
        self.form = form
        quarter = features // 4
        for band in ("low", "high"):
            setattr(self, f"{band}_depthwise", DepthwiseConv2d(channels, 3))
            setattr(self, f"{band}_norm", batch_norm(channels, form.norm_momentum))
            setattr(self, f"{band}_pointwise", pointwise(channels, features))
        self.scale_router = nn.Linear(channels, 3)
        self.dilated = nn.ModuleList(DepthwiseConv2d(channels, 3, d) for d in (4, 8, 12))
        self.scale_pointwise = pointwise(channels, features)
        self.se_fc1 = nn.Linear(features, quarter)
        self.se_fc2 = nn.Linear(quarter, features)
        self.spatial_depthwise = DepthwiseConv2d(features, 3)
        self.spatial_norm = batch_norm(features, form.norm_momentum)
        self.spatial_pointwise = pointwise(features, features)
        self.retention_fc = nn.Linear(features, features)
        self.gate_fc1 = nn.Linear(2 * features, quarter)
        self.gate_fc2 = nn.Linear(quarter, features)
        self.final_depthwise = DepthwiseConv2d(features, 3)
        self.final_norm = batch_norm(features, form.norm_momentum)
        self.final_pointwise = pointwise(features, features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``."""
        return self._chain("final", self._spatial(maps) + self._frequency(maps))

    def _chain(self, name: str, maps: Tensor) -> Tensor:
        """Apply depthwise convolution, GELU, norm, 1x1 convolution, GELU."""
        maps = getattr(self, f"{name}_norm")(F.gelu(getattr(self, f"{name}_depthwise")(maps)))
        return F.gelu(getattr(self, f"{name}_pointwise")(maps))

    def _frequency(self, maps: Tensor) -> Tensor:
        spectrum = dct2(maps, FREQUENCIES)
        if not self.form.inverse_dct:
            spectrum = spectrum.transpose(-2, -1)
        if self.form.frequency_split:
            row, column = (torch.arange(n, device=maps.device) / n for n in spectrum.shape[-2:])
            is_low = (row[:, None] + column < 0.5).to(maps.dtype)
            low, high = spectrum * is_low, spectrum * (1 - is_low)
        else:
            low = spectrum
            high = (spectrum - spectrum.mean((-2, -1), keepdim=True)).abs()
        result = self._chain("low", low) + self._chain("high", high)
        return idct2(result, *maps.shape[-2:]) if self.form.inverse_dct else result

    def _spatial(self, maps: Tensor) -> Tensor:
        weights = self.scale_router(global_average(maps)).softmax(1)
        scales = sum(
            weight[:, None, None, None] * F.relu(layer(maps))
            for weight, layer in zip(weights.unbind(1), self.dilated, strict=True)
        )
        scales = F.gelu(self.scale_pointwise(scales))
        squeezed = F.relu(self.se_fc1(global_average(scales)))
        scales = apply_gate(scales, self.se_fc2(squeezed))
        view = self._chain("spatial", scales)
        view = apply_gate(view, self.retention_fc(global_average(view)))
        pooled = torch.cat([global_average(view), global_max(view)], 1)
        return apply_gate(view, self.gate_fc2(F.relu(self.gate_fc1(pooled))))


class FPFN(nn.Module):
    """Fusion of a skip with the decoder, corrected where the two disagree (FPFN-CAM).

    Two masks are computed from the entropy of the fused features and the disagreement of skip and
    decoder: one lets certain features pass, the other adds a correction to uncertain ones.
    """

    def __init__(self, skip_channels: int, features: int, form: Form) -> None:
        super().__init__()
        self.form = form
        self.encoder_proj = pointwise(skip_channels, features)
        self.decoder_proj = pointwise(features, features)
        self.cross_gate = pointwise(features, features)
        self.fuse_conv = nn.Conv2d(features, features, 3, padding=1)
        self.entropy_depthwise = DepthwiseConv2d(features, 3)
        self.entropy_logits = pointwise(features, features)
        self.entropy_norm = SpatialNorm(form.spatial_uncertainty)
        self.cosine_norm = SpatialNorm(form.spatial_uncertainty)
        self.uncertainty_weight = pointwise(2, 1)
        self.correction_gate = nn.Conv2d(2, 1, 3, padding=1)
        self.correction_conv = nn.Conv2d(features, features, 3, padding=1)
        self.output_conv = pointwise(features, features)
        if not form.spatial_uncertainty:
            # Nothing depends on these; an Adam-type optimiser would still change them.
            self.entropy_depthwise.requires_grad_(False)
            self.entropy_logits.requires_grad_(False)

    def forward(self, skip: Tensor, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fused features and the maps that controlled the fusion.

        ``skip`` is ``(N, skip_channels, H, W)`` or half that resolution, ``maps`` and the result
        are ``(N, features, H, W)``. The returned maps are ``entropy``, ``cosine`` (0..1, raw),
        ``trust`` (share that passes unchanged) and ``corrective`` (where a correction is added),
        each ``(N, 1, H, W)``.
        """
        encoder = F.relu(self.encoder_proj(skip))
        decoder = F.relu(self.decoder_proj(maps))
        cross = self.cross_gate(encoder)
        if encoder.shape[-2] < decoder.shape[-2]:
            # A 1x1 convolution commutes with interpolation, so the gate ran on a quarter of the
            # pixels.
            encoder, cross = upsample_bilinear(encoder), upsample_bilinear(cross)
        fused = F.relu(self.fuse_conv(encoder + decoder * cross.sigmoid()))
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.form.spatial_uncertainty):
            entropy = entropy_map(self.entropy_logits(F.relu(self.entropy_depthwise(fused))))
            cosine = cosine_disagreement(encoder, decoder)
        uncertainty = torch.cat([self.entropy_norm(entropy), self.cosine_norm(cosine)], 1)
        distrust = self.uncertainty_weight(uncertainty).sigmoid()
        corrective = self.correction_gate(uncertainty).sigmoid()
        correction = F.relu(self.correction_conv(fused * corrective))
        result = F.gelu(self.output_conv(fused * (1 - distrust) + correction + decoder))
        seen = {
            "entropy": entropy,
            "cosine": cosine,
            "trust": 1 - distrust,
            "corrective": corrective,
        }
        return result, {name: value.detach() for name, value in seen.items()}


class PlainBridge(nn.Module):
    """A 3x3 convolution, norm and GELU in place of FAMSR."""

    def __init__(self, channels: int, features: int, form: Form) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, features, 3, padding=1)
        self.norm = batch_norm(features, form.norm_momentum)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``."""
        return F.gelu(self.norm(self.conv(maps)))


class PlainFusion(nn.Module):
    """A 3x3 convolution of skip and decoder, concatenated, in place of FPFN-CAM."""

    def __init__(self, skip_channels: int, features: int, form: Form) -> None:
        super().__init__()
        self.conv = nn.Conv2d(skip_channels + features, features, 3, padding=1)
        self.norm = batch_norm(features, form.norm_momentum)

    def forward(self, skip: Tensor, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fused features ``(N, features, H, W)`` and no maps."""
        skip = resize(skip, (maps.shape[-2], maps.shape[-1]))
        return F.gelu(self.norm(self.conv(torch.cat([skip, maps], 1)))), {}
