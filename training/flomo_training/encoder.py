"""Pretrained encoder weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from flomo_training.recipe import EncoderWeights
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.models import PinnedFile, download_pinned_file
from napari_flomo.networks import Encoder, load_encoder


def load_encoder_weights(network: nn.Module, weights: EncoderWeights) -> None:
    """Load published weights into the encoder of a network, in place.

    They are in a local file, or in a file on the Hub that is downloaded once and verified every
    time. Raises a `FlomoError` if the network has no such encoder, or the file cannot be obtained,
    fails verification or does not fit.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise FlomoError(
            "The network of the recipe has no encoder with published weights; remove 'encoder'."
        )
    try:
        load_encoder(encoder, load(_read(weights)))
    except (SafetensorError, ValueError) as error:
        raise FlomoError(
            f"The weights {weights.file} do not fit the encoder of the recipe ({error}); use a "
            "safetensors file that timm published for it."
        ) from error


def _read(weights: EncoderWeights) -> bytes:
    """Return the verified content of the file."""
    if weights.repo is not None:
        pin = PinnedFile(
            weights.repo,
            weights.commit or "",
            weights.file,
            weights.size or 0,
            weights.sha256 or "",
        )
        return download_pinned_file(pin).read_bytes()
    path = Path(weights.file)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = reason_of(error)
        raise FlomoError(
            f"The encoder weights {path} cannot be read: {reason}; fix 'encoder' in the recipe."
        ) from error
    if weights.sha256 is not None and hashlib.sha256(content).hexdigest() != weights.sha256:
        raise FlomoError(
            f"The encoder weights {path} do not have the SHA-256 of the recipe; download them "
            "again."
        )
    return content
