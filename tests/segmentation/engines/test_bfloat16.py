"""Engines that compute in bfloat16, on the bundled model and a real heart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine_fakes import CPU, need
from torch import Tensor, nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import ModelCard, load_network
from napari_flomo.networks import Output, build
from napari_flomo.segmentation.engines import ENGINES, EngineRunner, agreement, make_engine, runner
from napari_flomo.segmentation.engines.agreement import MAX_DIFFERENT_PIXELS, MIN_DICE, compare
from napari_flomo.segmentation.preprocessing import prepare
from napari_flomo.volumes import read

Heart = tuple[nn.Module, ModelCard, Tensor, Output]


def test_sensitive_parts_are_in_float32():
    """The precision of the compiled graphs, on any processor."""
    need("openvino-bf16")
    network = build("flomo-b0", in_channels=1, num_classes=3).eval()
    engine = make_engine("openvino-bf16", network, channels=1, size=(32, 48), device=CPU)
    again = make_engine(
        "openvino-bf16", network, channels=1, size=(32, 48), device=CPU, graph=engine.dump()
    )
    for one in (engine, again):
        asked = [str(part.get_property("INFERENCE_PRECISION_HINT")) for part in one._compiled]
        assert ["float32" in word for word in asked] == [True, False, True]
        for part, precise in zip(one._compiled, (True, False, True), strict=True):
            kinds = {
                str(operation.get_rt_info()["runtimePrecision"].astype(str))
                for operation in part.get_runtime_model().get_ops()
                if "runtimePrecision" in operation.get_rt_info()
            }
            assert ("bf16" in kinds) is not precise
    images = torch.rand((3, 1, 32, 48))
    assert torch.equal(engine(images).logits, again(images).logits)


@pytest.fixture(scope="module")
def heart(repository):
    """The bundled model, preprocessed slices of the sample, and the output for them."""
    network, card = load_network(DEFAULT_MODEL)
    volume = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    images, _ = prepare(volume.data, volume.in_plane_spacing, card.preprocessing)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return network, card, images, network(images)


class Known:
    """An engine with known results."""

    batch, threads = None, 1

    def __init__(self, name: str, images: Tensor, logits: Tensor) -> None:
        self.kind = ENGINES[name]
        self._images, self._logits = images, logits

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        start = next(n for n, one in enumerate(self._images) if torch.equal(one, images[0]))
        return Output(self._logits[start : start + len(images)])


def run_all(
    name: str, heart: Heart, monkeypatch: pytest.MonkeyPatch, **known: Tensor
) -> tuple[Output, dict[str, Any]]:
    """Segment the sample with a requested engine, a few slices at a time."""
    network, card, images, truth = heart
    known["eager"] = truth.logits
    real = runner.make_engine

    def make(name: str, *args: Any, **more: Any) -> Any:
        logits = known.get(name)
        return real(name, *args, **more) if logits is None else Known(name, images, logits)

    monkeypatch.setattr(runner, "make_engine", make)
    size = (images.shape[-2], images.shape[-1])
    run = EngineRunner(network, card, size, device=CPU, asked=name, weights=None)
    with torch.inference_mode():
        logits = [run(some).logits for some in images.split(4)]
    return Output(torch.cat(logits)), run.report()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bf16", "openvino-bf16"])
def test_labels_in_bfloat16(name, heart, monkeypatch):
    """An engine in bfloat16 is accurate or not used."""
    need(name)
    _, card, images, truth = heart
    found, reported = run_all(name, heart, monkeypatch)
    seen = compare(found, truth, card)
    assert seen.dice >= MIN_DICE
    if reported["name"] == name:
        assert 0 < seen.difference < 0.1  # rounded, then
        assert reported["slices"] == {name: len(images)}
    else:
        assert f"{name} was not used: its probabilities are off" in reported["reason"]


@pytest.mark.parametrize(("step", "kept"), [(1.0, False), (1 / 512, True)])
def test_engine_that_changes_labels_is_rejected(step, kept, heart, monkeypatch):
    """Logits in steps stand for a processor that rounds too much."""
    _, card, _, truth = heart
    coarse = (truth.logits / step).round() * step
    monkeypatch.setattr(runner, "candidates", lambda *_: (ENGINES["bf16"],))
    monkeypatch.setattr(agreement, "LOW_PRECISION_TOLERANCE", 1.0)
    found, reported = run_all("bf16", heart, monkeypatch, bf16=coarse)
    seen = compare(found, truth, card)
    assert seen.dice >= MIN_DICE or seen.labels <= MAX_DIFFERENT_PIXELS
    assert (reported["name"] == "bf16") is kept
    if not kept:
        assert reported["name"] == "eager"
        assert "the Dice of the labels is 0.9" in reported["reason"]
