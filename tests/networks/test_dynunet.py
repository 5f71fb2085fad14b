"""The baseline network."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("monai", reason="the baseline needs the [train] extra")

from napari_flomo.networks import build, count_parameters


def test_number_of_parameters():
    ours = count_parameters(build("flomo-b0", in_channels=1, num_classes=4))
    theirs = count_parameters(build("dynunet", in_channels=1, num_classes=4))
    assert abs(theirs / ours - 1) < 0.1


def test_deep_supervision(tmp_path):
    network = build("dynunet", in_channels=1, num_classes=4, deep_supervision=True)
    output = network.train()(torch.rand(2, 1, 64, 64))
    assert [(a.kind, a.stage) for a in output.aux] == [("logits", 2), ("logits", 1)]
    sum(a.value.mean() for a in output.aux).backward()
    assert output.aux[0].value.std() > 0

    plain = build("dynunet", in_channels=1, num_classes=4)
    trained = network.state_dict()
    weights = {name: trained[name] for name in plain.state_dict()}
    save_file(weights, tmp_path / "weights.safetensors")  # refuses a tensor under two names
    plain.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    image = torch.rand(1, 1, 48, 48)
    with torch.no_grad():
        expected, found = network.eval()(image).logits, plain.eval()(image).logits
    assert torch.equal(found, expected)
