"""Names of the companions' official tensors, turned into ours."""

from __future__ import annotations

import re

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


def official(name: str) -> str:
    """Return the official name of a tensor of MADGNet, for weights that are drawn by name."""
    for pattern, replacement in (
        (r"^encoder\.", "feature_encoding."),
        (r"^decoder\.skips\.(\d)\.", lambda m: f"skip_connection{int(m[1]) + 1}."),
        (r"^decoder\.stages\.(\d)\.", lambda m: f"decoder_stage{int(m[1]) + 1}."),
        (r"^decoder\.heads\.stage(\d)\.", r"sub_decoder_stage\1."),
        (r"\.enter\.", ".conv1."),
        (r"\.leave\.", ".conv2."),
        (r"\.attention\.", ".attention_layer."),
        (r"scales\.(\d)\.reach\.", r"multi_scale_branches.\1."),
        (r"scales\.(\d)\.squeeze\.0\.", r"multi_scale_branches.\1.3."),
        (r"scales\.(\d)\.squeeze\.1\.", r"multi_scale_branches.\1.4."),
        (r"scales\.(\d)\.frequency\.gate\.", r"multi_frequency_branches.\1.0.fc."),
        (r"scales\.(\d)\.foreground\.", r"multi_frequency_branches_conv1.\1.0."),
        (r"scales\.(\d)\.widen\.", r"multi_frequency_branches_conv2.\1."),
        (r"scales\.(\d)\.(alpha|beta)$", r"\2_list.\1"),
        (r"\.region\.", ".output_map_conv."),
        (r"stage(\d)\.(distance|boundary)\.", r"stage\1.output_\2_conv."),
    ):
        name = re.sub(pattern, replacement, name)
    return name
