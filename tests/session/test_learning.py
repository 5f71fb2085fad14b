"""From accepted slices to a promoted model, with real files and processes and a tiny training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import State
from napari_flomo.models import in_use, info, list_models
from napari_flomo.session.learning import (
    AvailableSlices,
    CurvePoint,
    FinetuneConfig,
    Learning,
    TrainingRun,
    available,
    read_gate_report,
)
from napari_flomo.volumes import Volume

TIMEOUT_SECONDS = 60


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def learning(trainer: str, corrections: CorrectionStore) -> Learning:
    return Learning(executable=trainer)


def settings(home: Path, **values: Any) -> str:
    path = home / "settings.json"
    path.write_text(json.dumps(values))
    return str(path)


def train(learning: Learning, base: str = DEFAULT_MODEL, **options: str) -> TrainingRun:
    return learning.train(FinetuneConfig(base, learning.store, **options))


def wait(learning: Learning, *states: State) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while learning.training.state not in (states or (State.DONE,)):
        assert time.monotonic() < end, learning.training.state
        assert not states or not learning.training.state.final, learning.training.problem
        assert learning.training.state is not State.FAILED, learning.training.problem
        time.sleep(0.01)


def wait_for_step(learning: Learning, step: int) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while learning.training.progress.done < step:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nothing_blocks(trainer: str) -> None:
    learning = Learning(executable=trainer)
    assert "accept some" in learning.available(DEFAULT_MODEL).sentence
    with pytest.raises(FlomoError, match="accept some"):
        train(learning)
    assert learning.training is None
    with pytest.raises(FlomoError, match="There is no training to resume"):
        learning.resume()
    with pytest.raises(FlomoError, match="no trained model to decide about"):
        learning.promote()


def test_nothing_to_learn(
    learning: Learning, corrections: CorrectionStore, trainer: str, home: Path
) -> None:
    train(learning, settings=settings(home, verdict="nothing"))
    wait(learning)
    state = learning.state(DEFAULT_MODEL)
    assert (state.outcome, state.level) == ("Nothing to learn.", "info")
    assert (state.can_decide, state.can_promote, state.can_resume) == (False, False, False)
    assert state.can_train
    with pytest.raises(FlomoError, match="no trained model to decide about"):
        learning.promote()
    assert Learning(executable=trainer).training is None, "it is not offered again"


def test_train_and_promote(
    learning: Learning, corrections: CorrectionStore, make_heart: Callable[..., Volume]
) -> None:
    received = []
    learning.subscribe(lambda: received.append(learning.training and learning.training.state))
    assert learning.available(DEFAULT_MODEL).sentence == "5 accepted slices of 2 patients."
    training = train(learning)
    with pytest.raises(FlomoError, match="under way"):
        train(learning)
    wait(learning)
    assert State.RUNNING in received
    assert training.points() == [
        CurvePoint(0, None, 0.7),
        CurvePoint(2, 0.5, pytest.approx(0.7333, abs=1e-3)),
        CurvePoint(4, 0.25, pytest.approx(0.7667, abs=1e-3)),
        CurvePoint(6, pytest.approx(1 / 6), pytest.approx(0.8)),
    ]
    gate = training.gate()
    assert gate.passed
    assert gate.candidate == training.candidate
    assert training.candidate in gate.sentence
    first = gate.rows[0]
    assert (first.part, first.structure, first.metric) == ("Reference patients", "mean", "Dice")
    assert (first.before, first.after) == ("0.800", "0.810")
    assert first.difference == "+0.010 (+0.000 to +0.020)"
    assert len(gate.rows) == 18
    assert gate.pictures[0].path.is_file()
    assert "0.700 to 0.800" in gate.pictures[0].title
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL, "nothing is used before somebody says so"
    assert not learning.can_roll_back(DEFAULT_MODEL)

    name = learning.promote()
    assert name == gate.candidate
    assert in_use(DEFAULT_MODEL) == name == learning.base()
    assert name in [state.name for state in list_models()]
    assert learning.training is None
    assert learning.can_roll_back(DEFAULT_MODEL)
    assert learning.can_roll_back(name)

    assert learning.available(name).new == 0
    assert "none of them new since the last training" in learning.available(name).sentence
    image = make_heart(slices=4, seed=9)
    labels = image.with_data((image.data > 150).astype("uint8"))
    codes = corrections.records()[0].codes
    corrections.add(Correction(image, labels, codes, seen=[(0, 1)], state="accepted"))
    after = learning.available(name)
    assert (after.slices, after.patients, after.new) == (6, 3, 1)

    assert learning.roll_back(name) == DEFAULT_MODEL
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    with pytest.raises(FlomoError):
        learning.roll_back(DEFAULT_MODEL)


def test_cancelled_and_resumed(learning: Learning, home: Path) -> None:
    training = train(learning, settings=settings(home, steps=400, pause=0.02))
    wait_for_step(learning, 4)
    assert training.progress.seconds_left > 1
    start = time.monotonic()
    learning.cancel()
    wait(learning, State.CANCELLED)
    assert time.monotonic() - start < 3  # one second on a quiet machine
    reached = int((training.folder / "last").read_text())
    settings(home, steps=reached + 2, pause=0.02)
    learning.resume()
    wait(learning)
    assert learning.training.folder == training.folder
    assert learning.training.points()[-1].step in (reached + 1, reached + 2)


def test_an_earlier_training_is_found(learning: Learning, trainer: str, home: Path) -> None:
    training = train(learning, settings=settings(home, steps=60, pause=0.02))
    learning.close()  # the viewer; the training goes on
    again = Learning(executable=trainer)
    assert again.training is not None
    assert again.training.folder == training.folder
    assert again.training.request.base == DEFAULT_MODEL
    wait(again)
    assert len(again.training.points()) == 31
    again.keep_parent()
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    third = Learning(executable=trainer)
    assert third.training is None, "somebody has decided"
    assert third.available(DEFAULT_MODEL).new == 0


def test_closing_can_stop_the_training(learning: Learning, trainer: str, home: Path) -> None:
    training = train(learning, settings=settings(home, steps=500, pause=0.05))
    wait_for_step(learning, 1)
    learning.close(stop=True)
    assert training.wait(TIMEOUT_SECONDS)
    assert training.state is State.CANCELLED
    again = Learning(executable=trainer)
    wait(again, State.CANCELLED)
    again.discard()
    assert again.training is None
    assert Learning(executable=trainer).training is None


def test_a_refused_candidate(learning: Learning, home: Path) -> None:
    train(learning, settings=settings(home, verdict="refused"))
    wait(learning)
    gate = learning.training.gate()
    assert not gate.passed
    assert "stays in use" in gate.sentence
    with pytest.raises(FlomoError, match=r"fell by 0\.05"):
        learning.promote()
    assert learning.training is not None
    name = learning.promote(despite_gate=True)
    assert in_use(DEFAULT_MODEL) == name


def test_a_failure_is_reported(learning: Learning, trainer: str, home: Path) -> None:
    sentence = "Not enough yet: 3 of 5 slices."
    train(learning, settings=settings(home, fail=sentence))
    assert learning.training.wait(TIMEOUT_SECONDS)
    assert learning.training.problem.sentence == sentence
    assert learning.training.candidate == ""
    with pytest.raises(FlomoError, match="no trained model"):
        learning.promote()
    again = Learning(executable=trainer)
    assert again.training.wait(TIMEOUT_SECONDS)
    assert again.training.problem.sentence == sentence


def test_missing_folders(learning: Learning) -> None:
    with pytest.raises(FlomoError, match="/nowhere does not exist; choose the replay data"):
        train(learning, replay="/nowhere")
    with pytest.raises(FlomoError, match="choose the reference data"):
        train(learning, reference="/nowhere")
    with pytest.raises(FlomoError, match="flomo-b9"):
        learning.available("flomo-b9")


def test_only_structures_that_the_model_knows(
    learning: Learning, corrections: CorrectionStore, make_heart: Callable[..., Volume]
) -> None:
    image = make_heart(slices=2, seed=7)
    labels = image.with_data((image.data > 150).astype("uint8"))
    corrections.add(Correction(image, labels, {1: "Aorta"}, seen=[(0, 0)], state="accepted"))
    corrections.add(
        Correction(image, labels, corrections.records()[0].codes, seen=[(0, 0)], state="draft")
    )
    assert learning.available(DEFAULT_MODEL).slices == 5


def test_without_the_training_package(
    monkeypatch: pytest.MonkeyPatch, corrections: CorrectionStore
) -> None:
    from napari_flomo.session.learning import learning as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    learning = Learning()
    assert "napari-flomo[train]" in learning.obstacle
    assert learning.available(DEFAULT_MODEL).slices == 5
    learning.check(DEFAULT_MODEL)  # is no error
    with pytest.raises(FlomoError, match="napari-flomo"):
        train(learning)


def test_a_damaged_report(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="cannot be read"):
        read_gate_report(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"verdict": "passed"}')
    with pytest.raises(FlomoError, match="damaged"):
        read_gate_report(tmp_path / "report.json")


def test_a_damaged_request_is_skipped(learning: Learning, trainer: str, home: Path) -> None:
    train(learning)
    wait(learning)
    (home / "trainings" / "000002").mkdir()
    (home / "trainings" / "000002" / "request.json").write_text("{")
    again = Learning(executable=trainer)
    wait(again)
    assert again.training.candidate == learning.training.candidate


def test_readiness_by_the_training_package(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes from a worker of its own, and the latest question counts."""
    import queue

    answered: list[Any] = []

    class Answering:
        def __init__(self) -> None:
            self.closed = False

        def submit(self, task: str, arguments: dict[str, Any]) -> Any:
            from napari_flomo.jobs import Job

            assert task == "readiness"
            job = Job(task)
            answered.append((arguments["base"], job, self))
            return job

        def close(self) -> None:
            self.closed = True

    learning._make_worker = Answering
    monkeypatch.setattr(learning, "available", lambda base: AvailableSlices(5, 2))
    learning.check("a")
    learning.check("a")
    assert len(answered) == 1
    answered[0][1]._end(State.DONE, {"ready": False, "sentence": "Not enough yet."})
    assert len(answered) == 2, "something may have come while it was counted"
    learning.check("b")
    assert answered[1][2].closed
    received: queue.Queue[Any] = queue.Queue()
    learning.subscribe(lambda: received.put(learning.readiness))
    ready = {"ready": True, "sentence": "Ready: 5 slices of 2 patients.", "skipped": []}
    answered[1][1]._end(State.DONE, {**ready, "ready": False})
    answered[2][1]._end(State.DONE, ready)
    assert learning.readiness.ready
    assert received.get_nowait().sentence == "Ready: 5 slices of 2 patients."
    assert received.empty()
    assert answered[2][2].closed


def test_counting_needs_no_store(tmp_path: Path) -> None:
    _state, card = info(DEFAULT_MODEL)
    assert available.count_available(tmp_path / "none", card, 0).slices == 0
