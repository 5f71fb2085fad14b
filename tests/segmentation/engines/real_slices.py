"""Networks with random weights whose output on a real heart is not trivial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_flomo.models import IntensityRule, ModelCard, Preprocessing
from napari_flomo.networks import build
from napari_flomo.segmentation.engines.tracing import example
from napari_flomo.segmentation.preprocessing import prepare
from napari_flomo.volumes import read

SIDE = 64
SLICES = (5, 6, 8)
"""Of the sample: in the middle, and near the apex.

Not slice 2: under random weights of FLoMo-B1 one of its pixels has a feature of nearly no length,
whose cosine is a matter of rounding: ONNX Runtime and PyTorch differ there by 0.24.
"""

STEPS = Preprocessing(2.5, SIDE, IntensityRule("percentile", 1, 99))
"""Coarse pixels, so that a small square holds the whole heart."""


COLOURS = ("fm-bff-net",)
"""Networks that are tried on images of three channels."""


def pictures(name: str, repository: Path) -> NDArray[np.float32]:
    """Return slices of the sample, ``(slices, channels, rows, columns)``, as a network gets them.

    Some networks get other slices and squares as colours.
    """
    volume = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    images, _ = prepare(volume.data, volume.in_plane_spacing, STEPS, SLICES)
    return np.concatenate([images, images[::-1], images**2], 1) if name in COLOURS else images


def network_with_statistics(
    card: ModelCard, images: NDArray[np.float32], name: str, **arguments: Any
) -> tuple[nn.Module, NDArray[np.float32]]:
    """Return a network with batch statistics of some images, and its logits for them.

    With initial statistics the output is nearly constant, so all engines would agree.

    Parameters
    ----------
    card
        Tells how many classes there are.
    images
        ``(slices, channels, rows, columns)``.
    name, arguments
        Of the network.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(
            name, in_channels=images.shape[1], num_classes=card.num_classes, **arguments
        )
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.momentum = None  # a plain mean
        with torch.inference_mode():
            like = example(images.shape[1], (SIDE, SIDE), len(images))
            network.train()(
                torch.from_numpy(np.concatenate([images, like]))
            )  # the images of a check, too
            for norm in norms:
                # A small variance would amplify the next image too much.
                norm.running_var.clamp_(min=float(norm.running_var.mean()) / 10)
            return network.eval(), network.eval()(torch.from_numpy(images)).logits.numpy()


def with_temperature(card: ModelCard, logits: NDArray[np.float32]) -> ModelCard:
    """Return the card with a temperature at which these logits give clear labels."""
    return replace(card, preprocessing=STEPS, temperature=max(0.01, float(logits.std()) / 2))
