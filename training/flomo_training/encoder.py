"""An encoder that starts from published weights instead of random ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from flomo_training.recipe import EncoderWeights
from napari_flomo.errors import FlomoError
from napari_flomo.models import PinnedFile, fetch_pinned_file
from napari_flomo.networks.backbones import Encoder, load_encoder


def start_encoder(network: nn.Module, weights: EncoderWeights) -> None:
    """Copy published weights into the encoder of a network.

    Parameters
    ----------
    network
        Changed in place.
    weights
        A file on this computer, or one of the Hub that is fetched once and verified every time.

    Raises
    ------
    FlomoError
        If the network has no such encoder, or the file cannot be had, is not what it must be, or
        does not fit.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise FlomoError(
            "The network of the recipe has no encoder with published weights; leave 'encoder' out."
        )
    try:
        load_encoder(encoder, load(_read(weights)))
    except (SafetensorError, ValueError) as error:
        raise FlomoError(
            f"The weights {weights.file} do not fit the encoder of the recipe ({error}); give a "
            "safetensors file that timm published for it."
        ) from error


def _read(weights: EncoderWeights) -> bytes:
    """Return the bytes of the file, once they are what the recipe says."""
    if weights.repo is not None:
        pin = PinnedFile(
            weights.repo,
            weights.commit or "",
            weights.file,
            weights.size or 0,
            weights.sha256 or "",
        )
        return fetch_pinned_file(pin).read_bytes()
    path = Path(weights.file)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(
            f"The encoder's weights {path} cannot be read: {reason}; mend 'encoder' in the recipe."
        ) from error
    if weights.sha256 is not None and hashlib.sha256(content).hexdigest() != weights.sha256:
        raise FlomoError(
            f"The encoder's weights {path} do not have the SHA-256 of the recipe; get them again."
        )
    return content
