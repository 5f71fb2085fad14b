"""The networks that `speed.py` compares, all with the settings of one model card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from network_costs import multiply_adds_of
from plain_network import use_plain_convolutions
from speed_report import PLAIN
from torch import Tensor, nn

from napari_flomo.models import ModelCard, load_card, load_network, save_model
from napari_flomo.networks import Output, build
from napari_flomo.networks.blocks import pad_to_multiple

UNET_CHANNELS = (18, 36, 72, 144, 288)
"""Channels of a U-Net with 2.06 million parameters; FLoMo-Net B0 has 2.09."""


@dataclass(frozen=True)
class Subject:
    """A network to measure; with ``plain`` convolutions it runs on the eager engine only.

    It has the weights of the model if ``trained``, otherwise random ones.
    """

    name: str
    title: str
    trained: bool = False
    plain: bool = False


SUBJECTS = (
    Subject(PLAIN, "FLoMo-Net B0, plain PyTorch", trained=True, plain=True),
    Subject("flomo-b0", "FLoMo-Net B0", trained=True),
    Subject("flomo-b1", "FLoMo-Net B1"),
    Subject("flomo-b2", "FLoMo-Net B2"),
    Subject("unet", "MONAI UNet"),
    Subject("dynunet", "DynUNet"),
)


class UNet(nn.Module):
    """MONAI's residual 2-D U-Net with the interface that `Segmenter` expects."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        from monai.networks.nets import UNet as MonaiUNet

        super().__init__()
        self.inner = MonaiUNet(
            2, in_channels, num_classes, UNET_CHANNELS, strides=(2, 2, 2, 2), num_res_units=2
        )

    def forward(self, image: Tensor) -> Output:
        """Return logits of the size of ``image``, ``(N, C, H, W)``."""
        height, width = image.shape[-2:]
        return Output(self.inner(pad_to_multiple(image, 16))[..., :height, :width])


def make(subject: Subject, model: str) -> tuple[nn.Module, ModelCard]:
    """Return a network, and the card that defines its preprocessing and postprocessing."""
    if subject.trained:
        network, card = load_network(model)
        return (use_plain_convolutions(network) if subject.plain else network), card
    card = load_card(model)
    torch.manual_seed(0)
    if subject.name == "unet":
        return UNet(card.in_channels, card.num_classes).eval(), card
    network = build(subject.name, in_channels=card.in_channels, num_classes=card.num_classes)
    return network.eval(), replace(card, network=subject.name, network_arguments={})


def costs(network: nn.Module, card: ModelCard) -> tuple[int, int]:
    """Return the parameters, and the multiply-adds for one slice in the card's field of view."""
    side = card.preprocessing.crop or 224
    image = torch.rand(1, card.in_channels, side, side)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, multiply_adds_of(network, image)


def store(subject: Subject, model: str, folder: Path) -> str:
    """Return the name or folder of a network for ``flomo segment --model``; save it if needed."""
    if subject.trained:
        return model
    network, card = make(subject, model)
    save_model(folder / subject.name, network, replace(card, name=subject.name))
    return str(folder / subject.name)
