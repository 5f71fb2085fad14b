"""Which engine is used, and what replaces one that fails."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from engine_fakes import SIZE, Fake, Small, truth_of

from napari_flomo.errors import out_of_memory
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import EngineRunner, ModelSource, registry, runner
from napari_flomo.segmentation.engines.runner import choose_engine


@pytest.fixture
def put(monkeypatch, source):
    """Return a function that runs the model on a fake engine; it returns the runner."""
    real = runner.make_engine

    def put_engine(fake):
        def make(name, *arguments):
            return fake if name == fake.kind.name else real(name, *arguments)

        monkeypatch.setattr(runner, "make_engine", make)
        return EngineRunner(source, SIZE, asked=fake.kind.name)

    return put_engine


def broken(_):
    raise RuntimeError("/home/somebody/secret: unsupported")


def test_failing_engine_is_replaced(put, network, images, caplog):
    caplog.set_level(logging.INFO)
    fake = Fake("openvino", broken)
    run = put(fake)
    for _ in range(2):
        assert np.array_equal(run(images).logits, truth_of(network, images).logits)
    assert json.loads(json.dumps(run.report())) == {
        "asked": "openvino",
        "name": "eager",
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "slices": {"eager": 10},
        "reason": "openvino was not used: RuntimeError",  # no path travels
    }
    assert len(fake.batches) == 1, "it was tried again"
    assert [record.levelno for record in caplog.records] == [logging.INFO], "not silent"


def test_errors_of_the_network_are_raised(put, images):
    with pytest.raises(RuntimeError, match="unsupported"):
        put(Fake("eager", broken))(images)


def test_out_of_memory_is_raised(put, network, images):
    def full(_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    run = put(Fake("openvino", full))
    with pytest.raises(RuntimeError, match="allocate"):
        run(images)  # fewer slices may fit
    assert np.array_equal(run(images[:1]).logits, truth_of(network, images[:1]).logits)
    assert run.report()["name"] == "eager"


def test_maps_from_another_engine(put, network, images):
    fake = Fake("openvino", lambda x: truth_of(network, x).logits)
    run = put(fake)
    assert run(images, maps=True).maps
    assert not run(images).maps
    assert fake.batches == [5]
    assert run.report()["slices"] == {"eager": 5, "openvino": 5}


@pytest.mark.parametrize(("error", "kept"), [(0.001, True), (1.0, False)])
def test_lower_precision_is_checked(put, network, images, error, kept):
    """On the first slices: a processor may round too much."""
    noise = error * np.random.default_rng(0).standard_normal((1, 3, *SIZE))
    fake = Fake("bf16", lambda x: (truth_of(network, x).logits + noise).astype(np.float32))
    run = put(fake)
    run(images)
    run(images)
    reported = run.report()
    assert reported["name"] == ("bf16" if kept else "eager")
    assert ("bf16 was not used: its probabilities are off" in reported["reason"]) is not kept


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("bad shape"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory(error, is_it):
    assert out_of_memory(error) is is_it


class TestChoice:
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch):
        """Everything is installed and the processor computes in bfloat16."""
        monkeypatch.setattr(registry, "is_installed", lambda _: True)
        monkeypatch.setattr(registry, "computes_in_bfloat16", lambda _: True)

    @pytest.mark.parametrize(
        ("asked", "device", "graph", "name"),
        [
            ("auto", "cpu", True, "openvino"),
            ("auto", "cpu", False, "eager"),
            ("auto", "cuda", True, "eager"),
            ("fastest", "cpu", True, "openvino-bf16"),
            ("fastest", "cuda:1", True, "bf16"),
            ("onnxruntime", "cpu", False, "onnxruntime"),
        ],
    )
    def test_choice(self, card, network, monkeypatch, *, asked, device, graph, name):
        source = ModelSource(card, network=network, device=device)
        monkeypatch.setattr(source, "graph", lambda _: b"graph" if graph else None)
        assert choose_engine(source, SIZE, asked)[0] == name

    def test_another_library(self, source, monkeypatch):
        monkeypatch.setattr(registry, "is_installed", lambda module: module != "openvino")
        monkeypatch.setattr(source, "graph", lambda _: b"graph")
        assert choose_engine(source, SIZE, "auto")[0] == "onnxruntime"


def test_manifest_entry(card, make_heart):
    made = Segmenter(Small(3), card, "cpu", engine="fast")  # its name in former versions
    result = made.segment(make_heart(slices=4), maps=("entropy", "variance"))
    assert json.loads(json.dumps(result.manifest))["engine"] == {
        "asked": "eager",
        "name": "eager",
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "slices": {"eager": 4 * 8},
        "reason": "asked for",
    }
