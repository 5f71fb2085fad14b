"""Mapping of label codes between images, model cards and class indices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard


def map_codes(codes: NDArray[np.integer], mapping: Mapping[int, int]) -> NDArray[np.uint8]:
    """Replace label codes (0 to 255) by others; codes without an entry become 0."""
    lookup = np.zeros(256, np.uint8)
    for code, target in mapping.items():
        lookup[code] = target
    result: NDArray[np.uint8] = lookup[codes.astype(np.uint8)]
    return result


def class_of_code(card: ModelCard) -> dict[int, int]:
    """Return the class index of each label code of a card."""
    return {label.code: index for index, label in enumerate(card.labels)}


def codes_to_classes(codes: NDArray[np.integer], card: ModelCard, name: str) -> NDArray[np.uint8]:
    """Replace the label codes of a card by class indices.

    Raises a `FlomoError`, with the name of the image, if a code is not in the card.
    """
    mapping = class_of_code(card)
    if unknown := sorted(set(np.unique(codes).tolist()) - mapping.keys()):
        raise FlomoError(
            f"The labels of {name} contain the codes {unknown}, which are not in the model card "
            f"{card.name}; it has {sorted(mapping)}."
        )
    return map_codes(codes, mapping)


def classes_by_name(codes: Mapping[int, str], card: ModelCard) -> dict[int, int]:
    """Return the class index of each code, matched by the name of its structure.

    Raises a `FlomoError` if a structure is not in the card.
    """
    index_of = {normalised_name(label.name): index for index, label in enumerate(card.labels)}
    for name in codes.values():
        if normalised_name(name) not in index_of:
            known = ", ".join(label.name for label in card.labels[1:])
            raise FlomoError(
                f"A correction has the structure {name!r}, which {card.name} does not know; it "
                f"knows {known}."
            )
    return {code: index_of[normalised_name(name)] for code, name in codes.items()}


def channel_masks(classes: Tensor, logits: Tensor, activation: str) -> Tensor:
    """Return the true mask of each channel of logits, of their shape and type.

    ``classes`` ``(N, H, W)`` are class indices. With sigmoid the background has no channel.
    """
    first = 0 if activation == "softmax" else 1
    channels = torch.arange(first, first + logits.shape[1], device=classes.device)
    return (classes[:, None] == channels[:, None, None]).to(logits.dtype)


def predict_classes(logits: Tensor, card: ModelCard) -> Tensor:
    """Return the predicted class index of each pixel, ``(N, H, W)``, from ``(N, K, H, W)`` logits.

    With sigmoid the most probable channel is predicted if it reaches the threshold of the card.
    """
    best, winner = logits.max(1)
    if card.activation == "softmax":
        return winner
    return torch.where(best.float().sigmoid() >= card.threshold, winner + 1, 0)


def normalised_name(name: str) -> str:
    """Return the name of a structure without differences in case and spaces."""
    return " ".join(name.casefold().split())
