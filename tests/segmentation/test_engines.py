"""Engines: chosen, checked, measured, kept, and never a reason to fail. No library is needed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.networks import Output
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import (
    CHOICES,
    ENGINES,
    EngineFault,
    Runner,
    candidates,
    chosen_engine,
    kinds,
    make_engine,
    measuring,
    obstacle,
    out_of_memory,
    records,
    runner,
)
from napari_flomo.segmentation.engines.checking import compare, demand_agreement
from napari_flomo.segmentation.engines.pytorch import TorchEngine
from napari_flomo.segmentation.engines.records import Trial

CPU = torch.device("cpu")
SIZE = (32, 32)


class Small(nn.Module):
    """One convolution, with a map of its own."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, classes, 3, padding=1)

    def forward(self, images: Tensor) -> Output:
        logits = 3 * self.layer(images)
        return Output(logits, maps={"stage4.entropy": logits.mean(1, keepdim=True).sigmoid()})


class Clock:
    """Time that passes where an engine says so, whatever else this computer does."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


CLOCK = Clock()


class Fake:
    """An engine made of a function from images to logits, that notes what it was given."""

    def __init__(
        self,
        name: str,
        run: Callable[[Tensor], Tensor],
        *,
        delay: float = 0.0,
        batch: int | None = None,
    ) -> None:
        self.kind = ENGINES[name]
        self.batch, self.threads = batch, 1
        self.run, self.delay = run, delay
        self.batches: list[int] = []

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        if maps and not self.kind.maps:
            raise AssertionError("was asked for maps that it does not have")
        self.batches.append(len(images))
        CLOCK.now += self.delay * len(images)
        found = {"stage4.entropy": images} if maps else {}
        return Output(self.run(images), maps=found)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FLOMO_ENGINE", raising=False)
    for module in (measuring, runner):
        monkeypatch.setattr(module, "perf_counter", CLOCK)
    return tmp_path / "home"


@pytest.fixture
def network(card: ModelCard) -> nn.Module:
    return Small(card.num_classes).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand((5, 1, *SIZE), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def make(card: ModelCard, network: nn.Module) -> Callable[..., Runner]:
    def make_runner(asked: str, weights: str | None = "0" * 64) -> Runner:
        return Runner(network, card, SIZE, device=CPU, asked=asked, weights=weights)

    return make_runner


@pytest.fixture
def fakes(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module
) -> Callable[..., dict[str, list[Fake]]]:
    """Put fake engines in the place of real ones; returns all that are made, by name."""

    def put(**changes: Callable[[], Fake]) -> dict[str, list[Fake]]:
        def right(images: Tensor) -> Tensor:
            return network(images).logits

        makers = {name: lambda n=name: Fake(n, right) for name in ("eager", "fast")} | changes
        made: dict[str, list[Fake]] = {name: [] for name in makers}

        def make_engine(name: str, *_: Any, graph: bytes | None = None, **__: Any) -> Fake:
            engine = makers[name]()
            engine.graph = graph
            made[name].append(engine)
            return engine

        monkeypatch.setattr(runner, "make_engine", make_engine)
        monkeypatch.setattr(
            runner,
            "candidates",
            lambda asked, _: (
                [ENGINES[name] for name in makers]
                if asked in ("auto", "fastest")
                else [ENGINES[asked]]
            ),
        )
        return made

    return put


class TestChoice:
    def test_unknown(self) -> None:
        with pytest.raises(FlomoError, match="no engine 'warp'; choose among auto, fastest, eager"):
            chosen_engine("warp", CPU)

    def test_the_environment_says_what_auto_means(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLOMO_ENGINE", "eager")
        assert chosen_engine("auto", CPU) == "eager"
        assert chosen_engine("fast", CPU) == "fast"  # a name always means that one
        monkeypatch.setenv("FLOMO_ENGINE", "warp")
        with pytest.raises(FlomoError, match="warp"):
            chosen_engine("auto", CPU)

    def test_a_missing_package_is_named(
        self, monkeypatch: pytest.MonkeyPatch, card: ModelCard
    ) -> None:
        monkeypatch.setattr(kinds, "is_there", lambda module: module != "openvino")
        with pytest.raises(FlomoError, match=r"needs openvino.*pip install 'napari-flomo\[fast\]'"):
            Segmenter(Small(3), card, "cpu", engine="openvino")
        assert "openvino" not in [kind.name for kind in candidates("auto", CPU)]

    def test_a_device_that_an_engine_does_not_know(self) -> None:
        gpu = torch.device("cuda")
        assert "computes on the CPU, not on cuda" in str(obstacle(ENGINES["openvino"], gpu))
        assert "an NVIDIA GPU, not on cpu" in str(obstacle(ENGINES["fp16"], CPU))

    @pytest.mark.parametrize(
        ("flags", "can"),
        [
            ({}, False),
            ({"avx512_bf16": False}, False),
            ({"avx512_bf16": True}, True),
            ({"amx_bf16": True}, True),
        ],
    )
    def test_bfloat16_where_the_processor_has_it(
        self, monkeypatch: pytest.MonkeyPatch, flags: dict[str, bool], can: bool
    ) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
        assert kinds.computes_in_bfloat16(CPU) is can
        assert (obstacle(ENGINES["bf16"], CPU) is None) is can
        assert ("bf16" in [kind.name for kind in candidates("fastest", CPU)]) is can

    def test_bfloat16_where_nobody_can_tell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise RuntimeError("unknown processor")

        monkeypatch.setattr(torch.cpu, "get_capabilities", fail, raising=False)
        assert not kinds.computes_in_bfloat16(CPU)
        monkeypatch.delattr(torch.cpu, "get_capabilities")
        assert not kinds.computes_in_bfloat16(CPU)
        assert not kinds.computes_in_bfloat16(torch.device("mps"))

    def test_auto_is_float32_and_never_compiles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kinds, "obstacle", lambda kind, device: None)
        names = [kind.name for kind in candidates("auto", CPU)]
        assert names == ["eager", "fast", "openvino", "onnxruntime"]
        assert {"openvino-bf16", "bf16"} <= {kind.name for kind in candidates("fastest", CPU)}
        assert "compile" not in [kind.name for kind in candidates("fastest", CPU)]
        assert [kind.name for kind in candidates("compile", CPU)] == ["compile"]

    def test_compile_needs_a_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kinds.shutil, "which", lambda name: None)
        assert "compiler" in str(obstacle(ENGINES["compile"], CPU))


class TestAgreement:
    def test_what_differs(self, card: ModelCard) -> None:
        truth = torch.zeros(1, 3, 2, 2)
        truth[0, 0] = 5.0
        other = truth.clone()
        other[0, :, 0, 0] = torch.tensor([0.0, 9.0, 0.0])
        seen = compare(Output(other), Output(truth), card)
        assert seen.labels == 1
        assert seen.difference > 0.9
        assert seen.dice == 0
        assert compare(Output(truth), Output(truth), card).dice == 1
        with pytest.raises(EngineFault, match="1 labels are other ones"):
            demand_agreement(ENGINES["fast"], Output(other), Output(truth), card)

    def test_ties_may_fall_either_way(self, card: ModelCard) -> None:
        truth = torch.zeros(1, 3, 2, 2)
        other = truth.clone()
        truth[0, 0], other[0, 1] = 1e-5, 1e-5
        seen = demand_agreement(ENGINES["fast"], Output(other), Output(truth), card)
        assert seen.labels == 0

    def test_nan_is_never_right(self, card: ModelCard) -> None:
        truth = torch.zeros(1, 3, 2, 2)
        for kind in (ENGINES["fast"], ENGINES["bf16"]):
            with pytest.raises(EngineFault):
                demand_agreement(kind, Output(truth * float("nan")), Output(truth), card)

    def test_another_shape(self, card: ModelCard) -> None:
        with pytest.raises(EngineFault, match="shape"):
            demand_agreement(
                ENGINES["fast"],
                Output(torch.zeros(1, 3, 2, 3)),
                Output(torch.zeros(1, 3, 2, 2)),
                card,
            )

    def test_maps_count(self, card: ModelCard) -> None:
        logits = torch.zeros(1, 3, 2, 2)
        maps = {"stage1.entropy": torch.zeros(1, 1, 2, 2)}
        wrong = {"stage1.entropy": torch.ones(1, 1, 2, 2)}
        with pytest.raises(EngineFault, match=r"map stage1\.entropy"):
            demand_agreement(
                ENGINES["fast"], Output(logits, maps=wrong), Output(logits, maps=maps), card
            )

    def test_fewer_bits_may_differ_a_little(self, card: ModelCard) -> None:
        truth = torch.zeros(1, 3, 4, 4)
        truth[0, 1] = 2.0
        near = Output(truth * 1.05)
        assert demand_agreement(ENGINES["bf16"], near, Output(truth), card).dice == 1
        with pytest.raises(EngineFault):
            demand_agreement(ENGINES["fast"], near, Output(truth), card)

    def test_fewer_bits_may_move_a_few_pixels(self, card: ModelCard) -> None:
        truth = torch.zeros(1, 3, 80, 80)
        truth[0, 1], truth[0, 2] = 2.0, 1.9
        other = truth.clone()
        other[0, 2, :2, :2] = 2.1
        demand_agreement(ENGINES["bf16"], Output(other), Output(truth), card)
        other[0, 2, :2] = 2.1
        with pytest.raises(EngineFault, match=r"Dice of the labels is 0\.975"):
            demand_agreement(ENGINES["bf16"], Output(other), Output(truth), card)

    def test_sigmoid(self, card: ModelCard) -> None:
        card = replace(card, activation="sigmoid")
        truth = torch.full((1, 2, 2, 2), 4.0)
        other = truth.clone()
        other[0, 1, 0, 0] = -4.0
        assert compare(Output(other), Output(truth), card).labels == 1


class TestFallBack:
    def wrong(self, images: Tensor) -> Tensor:
        return torch.rand(len(images), 3, *SIZE)

    def broken(self, images: Tensor) -> Tensor:
        raise RuntimeError("/home/somebody/secret: unsupported")

    def test_a_wrong_engine(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor, caplog: Any
    ) -> None:
        caplog.set_level(logging.INFO)
        made = fakes(openvino=lambda: Fake("openvino", self.wrong))
        run = make("openvino")
        run.expect(5)
        assert torch.equal(run(images).logits, network(images).logits)
        assert torch.equal(run(images).logits, network(images).logits)
        told = run.report()
        assert told["asked"] == "openvino"
        assert told["name"] == "eager"
        assert told["slices"] == {"eager": 10}
        assert "openvino was not used: its probabilities are off" in told["reason"]
        assert len(made["openvino"]) == 1, "it was tried again"
        assert max(record.levelno for record in caplog.records) == logging.INFO, "not silent"
        assert any("openvino" in record.getMessage() for record in caplog.records)

    def test_a_broken_engine(self, fakes: Any, make: Any, network: nn.Module, images: Any) -> None:
        fakes(openvino=lambda: Fake("openvino", self.broken))
        run = make("openvino")
        assert torch.equal(run(images).logits, network(images).logits)
        assert run.report()["reason"] == "openvino was not used: RuntimeError"  # no path travels

    def test_an_engine_that_cannot_be_made(self, fakes: Any, make: Any, images: Tensor) -> None:
        def fail() -> Fake:
            raise ImportError("no such library")

        fakes(onnxruntime=fail)
        run = make("onnxruntime")
        run(images)
        assert run.report()["name"] == "eager"

    def test_a_rewrite_that_is_wrong(
        self, fakes: Any, make: Any, network: Any, images: Any
    ) -> None:
        fakes(fast=lambda: Fake("fast", self.wrong))
        run = make("auto")
        assert torch.equal(run(images).logits, network(images).logits)
        assert run.report()["name"] == "eager"
        assert run.report()["asked"] == "auto"

    def test_the_networks_own_errors_are_told(self, fakes: Any, make: Any, images: Tensor) -> None:
        fakes(eager=lambda: Fake("eager", self.broken), fast=lambda: Fake("fast", self.broken))
        with pytest.raises(RuntimeError, match="unsupported"):
            make("auto")(images)

    def test_too_little_memory_goes_to_the_caller(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor
    ) -> None:
        def full(_: Tensor) -> Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

        fakes(openvino=lambda: Fake("openvino", full))
        run = make("openvino")
        with pytest.raises(RuntimeError, match="allocate"):
            run(images)  # fewer slices may fit
        assert torch.equal(run(images[:1]).logits, network(images[:1]).logits)
        assert run.report()["name"] == "eager"

    def test_maps_come_from_an_engine_that_has_them(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor
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
    def test_lack_of_memory(self, error: Exception, is_it: bool) -> None:
        assert out_of_memory(error) is is_it


class TestMeasurement:
    def slow_and_quick(self, network: nn.Module) -> dict[str, Callable[[], Fake]]:
        def right(images: Tensor) -> Tensor:
            return network(images).logits

        def slow_start(engine: Fake) -> Fake:
            CLOCK.now += 0.1
            return engine

        return {
            "eager": lambda: Fake("eager", right, delay=0.008),
            "fast": lambda: Fake("fast", right, delay=0.006),
            "openvino": lambda: slow_start(Fake("openvino", right, delay=0.001, batch=2)),
            "onnxruntime": lambda: Fake("onnxruntime", torch.neg),
        }

    def test_the_fastest_right_one_is_kept(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor, home: Path
    ) -> None:
        made = fakes(**self.slow_and_quick(network))
        run = make("auto")
        run.expect(1000)
        with torch.inference_mode():
            first = run(images)
            assert run.report()["name"] == "fast"  # nobody waits for the others
            assert not made["openvino"]
            run.settle()
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

    def test_settling_twice_measures_once(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor
    ) -> None:
        made = fakes(**self.slow_and_quick(network))
        run = make("auto")
        run.settle()  # nothing was seen yet
        assert not made["openvino"]
        run(images)
        run.settle()
        run.settle()
        assert len(made["openvino"]) == 1

    def test_in_the_middle_of_long_work(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(runner, "LEAST_WORK", 0.04)
        quick = replace(ENGINES["openvino"], setup_seconds=0.02)
        monkeypatch.setitem(ENGINES, "openvino", quick)
        monkeypatch.setitem(
            ENGINES, "onnxruntime", replace(ENGINES["onnxruntime"], setup_seconds=0)
        )
        fakes(**self.slow_and_quick(network))
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

    def test_looking_for_one_can_be_cancelled(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor
    ) -> None:
        def stop() -> None:
            raise Cancelled

        made = fakes(**self.slow_and_quick(network))
        run = make("auto")
        run(images)
        with pytest.raises(Cancelled):
            run.settle(stop)
        assert not made["openvino"]
        run.settle()
        assert run.report()["name"] == "openvino"

    def test_a_small_gain_is_not_worth_it(self) -> None:
        trials = {"eager": Trial(0.05), "fast": Trial(0.040), "openvino": Trial(0.038)}
        assert measuring.choose(trials) == "fast"
        assert measuring.choose(trials | {"openvino": Trial(0.02)}) == "openvino"
        assert measuring.choose(trials | {"fast": Trial(fault="wrong")}) == "openvino"
        assert measuring.choose({"eager": Trial(0.03), "fast": Trial(0.04)}) == "eager"


class TestRecords:
    def test_there_and_back(self) -> None:
        trials = {"fast": Trial(0.1), "openvino": Trial(0.05, 3.0, 0.2, 1e-6)}
        records.write("a", "openvino", trials, {"openvino": b"graph"})
        found = records.read("a")
        assert found is not None
        assert found.trials == trials
        assert records.read_graph("a", found, "openvino") == b"graph"
        assert records.read("b") is None

    def test_damage_is_absence(self, home: Path) -> None:
        found = records.write("a", "openvino", {"openvino": Trial(1.0)}, {"openvino": b"graph"})
        (home / "engines" / "a.openvino.graph").write_bytes(b"other")
        assert records.read_graph("a", found, "openvino") is None
        for text in ("", "{", "[]", '{"chosen": "x", "trials": {}, "graphs": {}}', "\xff"):
            (home / "engines" / "a.json").write_text(text)
            assert records.read("a") is None

    def test_a_graph_that_is_gone(
        self, fakes: Any, make: Any, network: nn.Module, images: Tensor, home: Path
    ) -> None:
        maker = TestMeasurement().slow_and_quick(network)

        class WithGraph(Fake):
            def dump(self) -> bytes:
                return b"graph"

        maker["openvino"] = lambda: WithGraph("openvino", lambda x: network(x).logits, delay=0.001)
        made = fakes(**maker)
        run = make("auto")
        run(images)
        run.settle()
        assert [engine.graph for engine in made["openvino"]] == [None, b"graph"]
        another = make("auto")
        another.expect(100000)
        another(images)
        assert another.report()["name"] == "openvino"
        assert made["openvino"][-1].graph == b"graph"
        next((home / "engines").glob("*.graph")).unlink()
        third = make("auto")
        third.expect(100000)
        third(images)
        assert third.report()["name"] == "fast"

    def test_a_folder_that_cannot_be_written(self, home: Path) -> None:
        home.write_text("a file where the folder should be")
        assert records.write("a", "fast", {"fast": Trial(1.0)}, {}).chosen == "fast"
        assert records.read("a") is None
        assert records.all_records() == []

    def test_the_old_are_removed(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "KEPT", 2)
        for number in range(4):
            records.write(str(number), "fast", {"fast": Trial(1.0)}, {"fast": b"x"})
            time.sleep(0.02)
        left = sorted(path.name for path in (home / "engines").iterdir())
        assert left == ["2.fast.graph", "2.json", "3.fast.graph", "3.json"]

    def test_the_key_tells_what_matters_apart(self) -> None:
        facts: dict[str, Any] = {
            "weights": "0", "network": "n", "channels": 1, "size": SIZE, "asked": "auto",
            "threads": 1, "device": CPU, "engines": ["fast"],
        }  # fmt: skip
        names = {records.key(**facts)}
        changes = [
            {"weights": "1"}, {"size": (16, 32)}, {"threads": 2}, {"engines": []},
            {"network": "m"}, {"asked": "fastest"}, {"channels": 3},
        ]  # fmt: skip
        names |= {records.key(**(facts | change)) for change in changes}
        assert len(names) == len(changes) + 1
        assert records.processor()


class TestPyTorch:
    @pytest.mark.parametrize("name", ["eager", "fast", "bf16"])
    def test_logits_and_maps(
        self, name: str, network: nn.Module, images: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kinds, "computes_in_bfloat16", lambda _: True)  # slow here, but right
        engine = make_engine(name, network, channels=1, size=SIZE, device=CPU)
        with torch.inference_mode():
            found, truth = engine(images, maps=True), network(images)
        assert found.logits.dtype == torch.float32
        assert torch.allclose(found.logits, truth.logits, atol=0.05 if name == "bf16" else 1e-5)
        assert found.maps.keys() == truth.maps.keys()

    def test_fewer_bits_never_return_nan(self, images: Tensor) -> None:
        """A later slice may leave the range of float16, when the first one was right."""

        class Overflow(Small):
            def forward(self, images: Tensor) -> Output:
                return Output(super().forward(images).logits * float("inf"))

        engine = TorchEngine(ENGINES["bf16"], Overflow(3).eval(), CPU)
        with torch.inference_mode(), pytest.raises(EngineFault, match="not finite"):
            engine(images)

    def test_half_the_batch_where_memory_ends(
        self, card: ModelCard, make_heart: Callable[..., Any]
    ) -> None:
        class Hungry(Small):
            def forward(self, images: Tensor) -> Output:
                if len(images) > 2:
                    raise RuntimeError("DefaultCPUAllocator: not enough memory")
                return super().forward(images)

        result = Segmenter(Hungry(3), card, "cpu").segment(make_heart(slices=8))
        plain = Segmenter(Small(3), card, "cpu").segment(make_heart(slices=8))
        assert (result.labels.data == plain.labels.data).all()
        assert result.manifest["batch"] == 2

    def test_the_manifest_tells(self, card: ModelCard, make_heart: Callable[..., Any]) -> None:
        made = Segmenter(Small(3), card, "cpu", engine="fast")
        result = made.segment(make_heart(slices=4), maps=("entropy", "variance"))
        told = json.loads(json.dumps(result.manifest))["engine"]
        assert told == {
            "asked": "fast",
            "name": "fast",
            "precision": "float32",
            "threads": torch.get_num_threads(),
            "slices": {"fast": 4 * 8},
            "reason": "asked for",
        }

    def test_names(self) -> None:
        assert set(ENGINES) < set(CHOICES)
        with pytest.raises(FlomoError, match="no engine 'warp'"):
            make_engine("warp", nn.Identity(), channels=1, size=SIZE, device=CPU)
