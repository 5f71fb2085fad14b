"""A wrong or failing engine is replaced."""

from __future__ import annotations

import logging

import pytest
import torch
from engine_fakes import SIZE, Fake
from torch import Tensor

from napari_flomo.errors import out_of_memory


def wrong(images: Tensor) -> Tensor:
    return torch.rand(len(images), 3, *SIZE)


def broken(images: Tensor) -> Tensor:
    raise RuntimeError("/home/somebody/secret: unsupported")


def test_wrong_engine(fakes, make, network, images, caplog):
    caplog.set_level(logging.INFO)
    made = fakes(openvino=lambda: Fake("openvino", wrong))
    run = make("openvino")
    run.expect(5)
    assert torch.equal(run(images).logits, network(images).logits)
    assert torch.equal(run(images).logits, network(images).logits)
    reported = run.report()
    assert reported["asked"] == "openvino"
    assert reported["name"] == "eager"
    assert reported["slices"] == {"eager": 10}
    assert "openvino was not used: its probabilities are off" in reported["reason"]
    assert len(made["openvino"]) == 1, "it was tried again"
    assert max(record.levelno for record in caplog.records) == logging.INFO, "not silent"
    assert any("openvino" in record.getMessage() for record in caplog.records)


def missing():
    raise ImportError("no such library")


@pytest.mark.parametrize(
    ("name", "maker", "reason"),
    [
        ("openvino", lambda: Fake("openvino", broken), "RuntimeError"),  # no path travels
        ("onnxruntime", missing, "ImportError"),
        ("fast", lambda: Fake("fast", wrong), "its probabilities are off"),
    ],
)
def test_failing_engine(fakes, make, network, images, *, name, maker, reason):
    fakes(**{name: maker})
    run = make("auto" if name == "fast" else name)
    assert torch.equal(run(images).logits, network(images).logits)
    assert run.report()["name"] == "eager"
    assert run.report()["reason"].startswith(f"{name} was not used: {reason}")


def test_errors_of_the_network_are_raised(fakes, make, images):
    fakes(eager=lambda: Fake("eager", broken), fast=lambda: Fake("fast", broken))
    with pytest.raises(RuntimeError, match="unsupported"):
        make("auto")(images)


def test_out_of_memory_is_raised(fakes, make, network, images):
    def full(_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    fakes(openvino=lambda: Fake("openvino", full))
    run = make("openvino")
    with pytest.raises(RuntimeError, match="allocate"):
        run(images)  # fewer slices may fit
    assert torch.equal(run(images[:1]).logits, network(images[:1]).logits)
    assert run.report()["name"] == "eager"


def test_maps_from_another_engine(fakes, make, network, images):
    made = fakes(openvino=lambda: Fake("openvino", lambda x: network(x).logits))
    run = make("openvino")
    assert run(images, maps=True).maps
    assert not run(images).maps
    assert made["openvino"][0].batches == [5]
    assert run.report()["slices"] == {"eager": 5, "openvino": 5}


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
