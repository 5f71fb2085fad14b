"""Pretrained encoder weights from a file and from the Hub."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from flomo_training import encoder as encoders
from flomo_training.encoder import load_encoder_weights
from flomo_training.recipe import EncoderWeights
from napari_flomo.errors import FlomoError
from napari_flomo.models import PinnedFile
from napari_flomo.networks import build


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file as timm publishes it for the encoder of FM-BFF-Net."""
    torch.manual_seed(7)
    state = build("fm-bff-net", in_channels=3, num_classes=1).encoder.state_dict()
    tensors = {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in state.items()}
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(tensors | {"classifier.bias": torch.zeros(10)}, path)
    return path


@pytest.fixture
def network():
    return build("fm-bff-net", in_channels=1, num_classes=2)


def test_a_file_on_this_computer(published, network):
    sha256 = hashlib.sha256(published.read_bytes()).hexdigest()
    before = network.encoder.conv_stem.weight.detach().clone()
    head = network.head.weight.detach().clone()
    load_encoder_weights(network, EncoderWeights(str(published), sha256=sha256))
    assert not torch.equal(network.encoder.conv_stem.weight, before)
    assert network.encoder.bn1.running_var.min() < 1
    assert torch.equal(network.head.weight, head)


def test_a_pinned_file_of_the_hub(published, network, monkeypatch):
    pins = []
    monkeypatch.setattr(encoders, "download_pinned_file", lambda pin: pins.append(pin) or published)
    weights = EncoderWeights("model.safetensors", "timm/x", "a" * 40, 12, "b" * 64)
    load_encoder_weights(network, weights)
    assert pins == [PinnedFile("timm/x", "a" * 40, "model.safetensors", 12, "b" * 64)]


def test_errors_of_encoder_weights(published, network, tmp_path):
    with pytest.raises(FlomoError, match="cannot be read"):
        load_encoder_weights(network, EncoderWeights(str(tmp_path / "absent.safetensors")))
    with pytest.raises(FlomoError, match="SHA-256"):
        load_encoder_weights(network, EncoderWeights(str(published), sha256="0" * 64))
    (tmp_path / "broken.safetensors").write_bytes(b"not at all")
    with pytest.raises(FlomoError, match="do not fit"):
        load_encoder_weights(network, EncoderWeights(str(tmp_path / "broken.safetensors")))
    other = build("madgnet-resnet50", in_channels=1, num_classes=2)
    with pytest.raises(FlomoError, match="no place for the tensor"):
        load_encoder_weights(other, EncoderWeights(str(published)))
    plain = build("flomo-b0", in_channels=1, num_classes=2)
    with pytest.raises(FlomoError, match="no encoder with published weights"):
        load_encoder_weights(plain, EncoderWeights(str(published)))
