"""Goldens of the official networks: their arrays, and the names of their tensors here."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor, nn

MADGNET = (
    (r"^feature_encoding\.", "encoder."),
    (r"^skip_connection(\d)\.", lambda m: f"decoder.skips.{int(m[1]) - 1}."),
    (r"^decoder_stage(\d)\.", lambda m: f"decoder.stages.{int(m[1]) - 1}."),
    (r"^sub_decoder_stage(\d)\.", r"decoder.heads.stage\1."),
    (r"\.conv1\.(\d)\.(\w+)$", r".enter.\1.\2"),
    (r"\.conv2\.(\d)\.(\w+)$", r".leave.\1.\2"),
    (r"attention_layer\.", "attention."),
    (r"multi_scale_branches\.(\d)\.([01])\.", r"scales.\1.reach.\2."),
    (r"multi_scale_branches\.(\d)\.3\.", r"scales.\1.squeeze.0."),
    (r"multi_scale_branches\.(\d)\.4\.", r"scales.\1.squeeze.1."),
    (r"multi_frequency_branches\.(\d)\.0\.fc\.", r"scales.\1.frequency.gate."),
    (r"multi_frequency_branches_conv1\.(\d)\.0\.", r"scales.\1.foreground."),
    (r"multi_frequency_branches_conv2\.(\d)\.(\d)\.", r"scales.\1.widen.\2."),
    (r"(alpha|beta)_list\.(\d)$", r"scales.\2.\1"),
    (r"^fc\.", "gate."),
    (r"output_map_conv\.", "region."),
    (r"output_(distance|boundary)_conv\.", r"\1."),
)


def translate(name: str, rules) -> str:
    """Return our name of an official tensor; the encoder's own names stay."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
        if name.startswith("encoder."):
            break
    return name


FIAS = (
    (r"^global_encoder\.patch_embeds\.(\d)\.proj\.", r"global_encoder.stages.\1.0.0."),
    (r"^global_encoder\.patch_embeds\.(\d)\.norm\.", r"global_encoder.stages.\1.0.1."),
    (r"^global_encoder\.blocks\.(\d)\.(\d)\.",
     lambda m: f"global_encoder.stages.{m[1]}.{int(m[2]) + 1}."),
    (r"\.dwconv\.", ".depthwise."),
    (r"\.pwconv\.", ".pointwise."),
    (r"\.attn\.out_proj\.", ".attention.out."),
    (r"\.ffn\.", ".feed."),
    (r"^local_encoder\.stages\.(\d)\.block\.", r"local_encoder.stages.\1."),
    (r"^local_encoder\.blocks\.(\d)\.", r"local_encoder.stages.\1.2."),
    (r"(^|\.)dw5\.", r"\1medium."),
    (r"(^|\.)dw7\.", r"\1wide."),
    (r"(^|\.)bn\.", r"\1norm."),
    (r"(^|2\.)proj\.", r"\1mix."),
    (r"channel_reduce\.", "reduce."),
    (r"channel_gate\.1\.", "channel_gate.0."),
    (r"channel_gate\.3\.", "channel_gate.2."),
    (r"spatial_gate\.0\.", "pixel_gate."),
    (r"^(fusions\.\d\.)?out_proj\.", lambda m: f"{m[1] or ''}out."),
    (r"^decoder\.bridge\.", "bridge."),
    (r"^decoder\.blocks\.", "stages."),
    (r"(^|\.)pre\.", r"\1enter."),
    (r"(^|\.)mhsa\.norm\.", r"\1norm."),
    (r"(^|\.)mhsa\.attention\.", r"\1attention."),
    (r"(^|\.)mhsa\.attn\.", r"\1attention."),
    (r"(^|\.)attn\.", r"\1attention."),
    (r"(^|\.)mca\.gate\.0\.", r"\1monte_carlo.gate."),
    (r"^gate\.0\.", "gate."),
    (r"^(stages\.\d\.)out_proj\.", r"\1leave."),
    (r"^seg_head\.head\.", "head."),
    (r"^deep_supervision_head\.heads\.", "aux_heads."),
)  # fmt: skip
"""Of the public FIAS; `split_projection` splits queries from keys and values."""

DILATEFORMER = (
    (r"^patch_embed\.proj\.", "embed."),
    (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
    (r"^stages\.(\d)\.downsample\.proj\.", r"merges.\1."),
    (r"pos_embed\.", "position."),
    (r"attn\.proj\.", "attention.out."),
    (r"attn\.qkv\.", "attention.qkv."),
    (r"mlp\.fc1\.", "feed.0."),
    (r"mlp\.fc2\.", "feed.2."),
)


def split_projection(arrays):
    """Split joint projections into one for queries and one for keys and values."""
    result = {}
    for name, value in arrays.items():
        joint = re.match(r"^(.*attention\.)(in_proj_|qkv\.)(weight|bias)$", name)
        if (
            joint
            and value.ndim <= 2
            and not (
                value.ndim == 1
                and f"{joint[1]}qkv.weight" in arrays
                and arrays[f"{joint[1]}qkv.weight"].ndim == 4
            )
        ):
            third = len(value) // 3
            result[f"{joint[1]}query.{joint[3]}"] = value[:third]
            result[f"{joint[1]}key_value.{joint[3]}"] = value[third:]
        else:
            result[name] = value
    return result


def weights(golden, prefix: str = "w/") -> dict[str, np.ndarray]:
    """Return the arrays of a golden whose names begin with a prefix, without it."""
    names = [name for name in golden.files if name.startswith(prefix)]
    return {name.removeprefix(prefix): golden[name].astype(np.float32) for name in names}


def tensor(golden, name: str) -> Tensor:
    return torch.from_numpy(golden[name].astype(np.float32))


def load(module: nn.Module, arrays: dict[str, np.ndarray], rules) -> None:
    """Copy official arrays into a module; none may be missing or unknown."""
    state = module.state_dict()
    ours = split_projection({translate(name, rules): value for name, value in arrays.items()})
    assert set(ours) == {k for k in state if not k.endswith("num_batches_tracked")}
    loaded = {k: torch.from_numpy(v).reshape(state[k].shape) for k, v in ours.items()}
    module.load_state_dict(loaded, strict=False)


def close(found: Tensor, expected: np.ndarray, tolerance: float) -> None:
    """Compare relative to the largest expected value."""
    assert found.shape == expected.shape
    worst = np.abs(found.detach().numpy() - expected).max()
    assert worst <= tolerance * np.abs(expected).max()
