"""Teachers for knowledge distillation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, load_network


class Teachers:
    """An ensemble of models in inference mode, not part of the checkpoints of a run.

    Labels, channels and preprocessing of every teacher must be those of the student's card. Raises
    a `FlomoError` if a teacher is missing, damaged, or was trained for other images or labels.
    """

    def __init__(self, names: Sequence[str], card: ModelCard, device: torch.device) -> None:
        self.networks = []
        for name in names:
            network, of_teacher = load_network(name, device)
            _check_same_task(name, of_teacher, card)
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.networks.append(network.eval())

    def __call__(self, images: Tensor) -> Tensor:
        """Return the mean probabilities ``(N, K, H, W)``, float32, of ``(N, C, H, W)`` images."""
        with torch.no_grad():
            total = sum(
                torch.softmax(network(images).logits.float(), dim=1) for network in self.networks
            )
        assert isinstance(total, Tensor)
        return total / len(self.networks)


def _check_same_task(name: str, teacher: ModelCard, student: ModelCard) -> None:
    """Raise if a teacher was trained for other images or labels than the student."""
    reasons = {
        "labels": [label.code for label in teacher.labels]
        != [label.code for label in student.labels],
        "channels": teacher.in_channels != student.in_channels,
        "pixel size": teacher.preprocessing.pixel_mm != student.preprocessing.pixel_mm,
        "intensities": teacher.preprocessing.intensity != student.preprocessing.intensity,
        "activation": teacher.activation != student.activation,
    }
    for what, differs in reasons.items():
        if differs:
            raise FlomoError(
                f"The teacher {name} has other {what} than the model of the recipe; "
                "choose a teacher that was trained for the same images and labels."
            )
