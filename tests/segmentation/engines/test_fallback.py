"""A wrong or failing engine is replaced."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from engine_fakes import SIZE, Fake
from torch import Tensor, nn

from napari_flomo.errors import out_of_memory


def wrong(images: Tensor) -> Tensor:
    return torch.rand(len(images), 3, *SIZE)


def broken(images: Tensor) -> Tensor:
    raise RuntimeError("/home/somebody/secret: unsupported")


def test_wrong_engine(
    fakes: Any, make: Any, network: nn.Module, images: Tensor, caplog: Any
) -> None:
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


def test_failing_engine(fakes: Any, make: Any, network: nn.Module, images: Any) -> None:
    fakes(openvino=lambda: Fake("openvino", broken))
    run = make("openvino")
    assert torch.equal(run(images).logits, network(images).logits)
    assert run.report()["reason"] == "openvino was not used: RuntimeError"  # no path travels


def test_engine_that_cannot_be_created(fakes: Any, make: Any, images: Tensor) -> None:
    def fail() -> Fake:
        raise ImportError("no such library")

    fakes(onnxruntime=fail)
    run = make("onnxruntime")
    run(images)
    assert run.report()["name"] == "eager"


def test_wrong_rewritten_network(fakes: Any, make: Any, network: Any, images: Any) -> None:
    fakes(fast=lambda: Fake("fast", wrong))
    run = make("auto")
    assert torch.equal(run(images).logits, network(images).logits)
    assert run.report()["name"] == "eager"
    assert run.report()["asked"] == "auto"


def test_errors_of_the_network_are_raised(fakes: Any, make: Any, images: Tensor) -> None:
    fakes(eager=lambda: Fake("eager", broken), fast=lambda: Fake("fast", broken))
    with pytest.raises(RuntimeError, match="unsupported"):
        make("auto")(images)


def test_out_of_memory_is_raised(fakes: Any, make: Any, network: nn.Module, images: Tensor) -> None:
    def full(_: Tensor) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    fakes(openvino=lambda: Fake("openvino", full))
    run = make("openvino")
    with pytest.raises(RuntimeError, match="allocate"):
        run(images)  # fewer slices may fit
    assert torch.equal(run(images[:1]).logits, network(images[:1]).logits)
    assert run.report()["name"] == "eager"


def test_maps_from_another_engine(
    fakes: Any, make: Any, network: nn.Module, images: Tensor
) -> None:
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
def test_out_of_memory(error: Exception, is_it: bool) -> None:
    assert out_of_memory(error) is is_it
