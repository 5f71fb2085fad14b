"""The baseline: MONAI's 2-D U-Net with the layout of nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.networks.output import Auxiliary, Output

FILTERS = (16, 32, 64, 128, 256)
"""Channels of each level; about as many parameters as FLoMo-Net B0."""


class DynUNet(nn.Module):
    """U-Net of convolutions, instance norms and leaky ReLU, for any number of channels and classes.

    Source: Isensee et al., Nature Methods 18, 2021 (nnU-Net); built by MONAI's ``DynUNet``.
    ``filters`` are the channels of each level, finest first; each level halves the resolution.
    ``deep_supervision`` adds heads at the two levels below the output, for training.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        filters: Sequence[int] = FILTERS,
        deep_supervision: bool = False,
    ) -> None:
        # Only this network needs MONAI.
        from monai.networks.nets import DynUNet as MonaiDynUNet

        super().__init__()
        levels = len(filters)
        self.stride: int = 2 ** (levels - 1)
        self.unet = MonaiDynUNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=num_classes,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(filters),
            deep_supervision=deep_supervision,
            deep_supr_num=2 if deep_supervision else 1,
        )
        # MONAI registers every block twice, and forward uses only `skip_layers`. Without the other
        # names, a file of weights holds each tensor once.
        for twice in ("input_block", "downsamples", "bottleneck", "upsamples"):
            delattr(self.unet, twice)
        if deep_supervision:
            del self.unet.deep_supervision_heads

    def forward(self, images: Tensor) -> Output:
        """Return the logits of ``(N, C, H, W)`` images of any size."""
        height, width = images.shape[-2:]
        result = self.unet(pad_to_multiple(images, self.stride))
        if result.ndim == 4:
            return Output(result[..., :height, :width])
        # (N, heads, K, H, W), finest first, all at the size of the output.
        maps = [result[:, head, :, :height, :width] for head in range(result.shape[1])]
        aux = [Auxiliary(value, "logits", len(maps) - 1 - n) for n, value in enumerate(maps[1:])]
        return Output(maps[0], aux)
