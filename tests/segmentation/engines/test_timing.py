"""Find the fastest engine, when idle or during long work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engine_fakes import slow_and_quick

from napari_flomo.errors import Cancelled
from napari_flomo.segmentation.engines import ENGINES, records, runner, timing
from napari_flomo.segmentation.engines.records import Trial


def test_fastest_correct_engine_is_cached(fakes, make, network, images, home):
    made = fakes(**slow_and_quick(network))
    run = make("auto")
    run.expect(1000)
    with torch.inference_mode():
        first = run(images)
        assert run.report()["name"] == "fast"  # does not wait for the others
        assert not made["openvino"]
        run.find_fastest()
        second = run(images)
    assert run.report()["name"] == "openvino"
    assert run.report()["reason"] == "measured"
    assert run.batch == 2
    assert torch.allclose(first.logits, second.logits)

    (kept,) = records.all_records()
    assert kept.chosen == "openvino"
    assert kept.trials["onnxruntime"].fault
    assert kept.trials["openvino"].seconds < kept.trials["fast"].seconds
    assert str(home) not in next((home / "engines").glob("*.json")).read_text()

    another = make("auto")  # as in a new process
    another.expect(2)  # what it saves is less than what loading takes
    assert another.report()["name"] == "fast"
    another.expect(10000)
    assert another.report()["name"] == "openvino"
    assert make("auto", weights="1" * 64)._record is None, "other weights, other choice"


def test_engines_are_measured_once(fakes, make, network, images):
    made = fakes(**slow_and_quick(network))
    run = make("auto")
    run.find_fastest()  # nothing was seen yet
    assert not made["openvino"]
    run(images)
    run.find_fastest()
    run.find_fastest()
    assert len(made["openvino"]) == 1


def test_measuring_during_long_work(fakes, make, network, images, monkeypatch):
    monkeypatch.setattr(runner, "MIN_WORK_SECONDS", 0.04)
    quick = replace(ENGINES["openvino"], setup_seconds=0.02)
    monkeypatch.setitem(ENGINES, "openvino", quick)
    monkeypatch.setitem(ENGINES, "onnxruntime", replace(ENGINES["onnxruntime"], setup_seconds=0))
    fakes(**slow_and_quick(network))
    run = make("auto", weights=None)
    run.expect(10)
    for _ in range(2):
        run(images)
    assert run.report()["slices"] == {"fast": 10}, "too little work for that"
    run.expect(1000)
    run(images)
    run(images)
    assert run.report()["slices"] == {"fast": 5, "openvino": 5}
    assert not records.all_records(), "weights that nobody knows are not kept"


def test_measuring_can_be_cancelled(fakes, make, network, images):
    def stop():
        raise Cancelled

    made = fakes(**slow_and_quick(network))
    run = make("auto")
    run(images)
    with pytest.raises(Cancelled):
        run.find_fastest(stop)
    assert not made["openvino"]
    run.find_fastest()
    assert run.report()["name"] == "openvino"


def test_choose():
    trials = {"eager": Trial(0.05), "fast": Trial(0.040), "openvino": Trial(0.038)}
    assert timing.choose(trials) == "fast"
    assert timing.choose(trials | {"openvino": Trial(0.02)}) == "openvino"
    assert timing.choose(trials | {"fast": Trial(fault="wrong")}) == "openvino"
    assert timing.choose({"eager": Trial(0.03), "fast": Trial(0.04)}) == "eager"
