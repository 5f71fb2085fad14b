"""The Learn section: accepted slices, a training in miniature, the gate, use, keep, back."""

from __future__ import annotations

import json

import pytest
from helpers import add_volume

from napari_flomo import DEFAULT_MODEL
from napari_flomo.jobs import State, Worker, python_spawner
from napari_flomo.models import in_use

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

from bench import Bench


@pytest.fixture
def bench(program, tiny_worker, trainer, corrections, repository, monkeypatch):
    """The module, with a program that trains in no time, and five accepted slices in the store."""
    import FLoMoSegmentationLib.panels.learn as module

    child = str(repository / "tests" / "session" / "tiny_child.py")
    monkeypatch.setattr(
        module, "make_worker", lambda: Worker(python_spawner(arguments=[child])), raising=True
    )
    monkeypatch.setattr(module.compat, "python_executable", lambda: trainer)
    made = Bench(tiny_worker, monkeypatch)
    yield made
    learning = made.panel.learn.learning
    if learning.running:
        learning.cancel()
        learning.training.wait(10)
    made.close()


def told(bench, tmp_path, **settings):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings))
    bench.panel.learn.settings = str(path)


def ended(bench, *states):
    learning = bench.panel.learn.learning
    bench.wait(lambda: learning.training is not None and learning.training.state in states)


def test_the_whole_way(bench, tmp_path):
    learn = bench.panel.learn
    ui, segment = learn.ui, bench.panel.segment
    assert ui.learnLine.text == "5 accepted slices of 2 patients."
    assert not ui.useButton.wrapped.isVisibleTo(bench.parent.window)
    told(bench, tmp_path, steps=12, pause=0.1)
    bench.click(ui.trainButton)
    bench.wait(lambda: ui.learnProgress.value > 2)
    assert "left" in ui.learnProgress.format
    assert not ui.trainButton.enabled
    ended(bench, State.DONE)
    bench.wait(lambda: "passed the gate" in ui.verdictLine.text)
    assert "rose by 0.03" in ui.verdictLine.text
    candidate = learn.learning.training.candidate
    bench.click(ui.useButton)
    assert in_use(DEFAULT_MODEL) == candidate
    assert segment.model == candidate
    assert learn.base == candidate
    assert not ui.useButton.wrapped.isVisibleTo(bench.parent.window)
    bench.click(ui.rollbackButton)
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    assert segment.model == DEFAULT_MODEL


def test_what_the_gate_refuses_cannot_be_used(bench, tmp_path):
    ui = bench.panel.learn.ui
    told(bench, tmp_path, verdict="refused")
    bench.click(ui.trainButton)
    ended(bench, State.DONE)
    bench.wait(lambda: "did not pass" in ui.verdictLine.text)
    assert not ui.useButton.enabled
    bench.click(ui.keepButton)
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    assert ui.verdictLine.text == ""


def test_cancel_and_go_on(bench, tmp_path):
    ui = bench.panel.learn.ui
    told(bench, tmp_path, steps=40, pause=0.1)
    bench.click(ui.trainButton)
    bench.wait(lambda: ui.learnProgress.value > 2)
    bench.click(ui.stopTrainingButton)
    ended(bench, State.CANCELLED)
    bench.wait(lambda: ui.resumeButton.wrapped.isVisibleTo(bench.parent.window))
    bench.click(ui.resumeButton)
    ended(bench, State.DONE)
    bench.wait(lambda: "passed the gate" in ui.verdictLine.text)


def test_a_training_outlives_the_module_and_is_found_again(bench, tmp_path, oblique):
    ui = bench.panel.learn.ui
    told(bench, tmp_path, steps=30, pause=0.1)
    bench.click(ui.trainButton)
    bench.wait(lambda: ui.learnProgress.value > 1)
    bench.module.cleanup()
    bench.module.setup()
    again = bench.panel.learn
    assert again.learning.training is not None
    ended(bench, State.DONE)
    bench.wait(lambda: "passed the gate" in again.ui.verdictLine.text)
    add_volume(oblique)  # the rest of the module works meanwhile


def test_without_the_training_packages_it_is_offered_to_install_them(bench, monkeypatch):
    from FLoMoSegmentationLib import installer

    learn = bench.panel.learn
    monkeypatch.setattr(
        installer, "missing", lambda **given: ["monai>=1.4"] if given.get("training") else []
    )
    learn.update_counts()
    ui = learn.ui
    assert not ui.trainButton.enabled
    tried = []
    monkeypatch.setattr(installer, "install", lambda folder, training: tried.append(training))
    bench.click(ui.installTrainingButton)
    assert tried == [True]
    assert "monai" in ui.installTrainingButton.toolTip
