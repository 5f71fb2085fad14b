"""The Learn section with a very fast training program."""

from __future__ import annotations

import json

import pytest
from helpers import add_volume

from napari_flomo import DEFAULT_MODEL
from napari_flomo.jobs import State, Worker, python_spawner
from napari_flomo.models import in_use

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

from driver import ModuleDriver


@pytest.fixture
def driver(program, tiny_worker, trainer, corrections, repository, monkeypatch):
    """The module, with a program that trains in no time, and five accepted slices in the store."""
    import FLoMoSegmentationLib.panels.learn as module

    child = str(repository / "tests" / "session" / "tiny_child.py")
    monkeypatch.setattr(
        module, "make_worker", lambda: Worker(python_spawner(arguments=[child])), raising=True
    )
    monkeypatch.setattr(module.compat, "python_executable", lambda: trainer)
    made = ModuleDriver(tiny_worker, monkeypatch)
    yield made
    learning = made.panel.learn.learning
    if learning.running:
        learning.cancel()
        learning.training.wait(10)
    made.close()


def set_training(driver, tmp_path, **settings):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings))
    driver.panel.learn.settings = str(path)


def wait_for_state(driver, *states):
    learning = driver.panel.learn.learning
    driver.wait(lambda: learning.training is not None and learning.training.state in states)


def test_train_promote_and_roll_back(driver, tmp_path):
    learn = driver.panel.learn
    ui, segment = learn.ui, driver.panel.segment
    assert ui.learnLine.text == "5 accepted slices of 2 patients."
    assert not ui.useButton.wrapped.isVisibleTo(driver.parent.window)
    set_training(driver, tmp_path, steps=12, pause=0.1)
    driver.click(ui.trainButton)
    driver.wait(lambda: ui.learnProgress.value > 2)
    assert "left" in ui.learnProgress.format
    assert not ui.trainButton.enabled
    wait_for_state(driver, State.DONE)
    driver.wait(lambda: "passed the gate" in ui.verdictLine.text)
    assert "rose by 0.03" in ui.verdictLine.text
    candidate = learn.learning.training.candidate
    driver.click(ui.useButton)
    assert in_use(DEFAULT_MODEL) == candidate
    assert segment.model == candidate
    assert learn.base == candidate
    assert not ui.useButton.wrapped.isVisibleTo(driver.parent.window)
    driver.click(ui.rollbackButton)
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    assert segment.model == DEFAULT_MODEL


def test_the_alias_of_the_reader(driver):
    """It goes into the corrections that are stored; one that is not valid is put back."""
    edit, preferences = driver.panel.learn.ui.readerEdit, driver.panel.logic.preferences
    assert edit.text == preferences.reader == "reader"
    for typed, kept in (("anna", "anna"), ("Dr. Anna!", "anna")):
        edit.wrapped.setText(typed)
        edit.wrapped.editingFinished.emit()
        assert edit.text == preferences.reader == kept


def test_refused_model_cannot_be_used(driver, tmp_path):
    ui = driver.panel.learn.ui
    set_training(driver, tmp_path, verdict="refused")
    driver.click(ui.trainButton)
    wait_for_state(driver, State.DONE)
    driver.wait(lambda: "did not pass" in ui.verdictLine.text)
    assert not ui.useButton.enabled
    driver.click(ui.keepButton)
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    assert ui.verdictLine.text == ""


def test_cancel_and_resume(driver, tmp_path):
    ui = driver.panel.learn.ui
    set_training(driver, tmp_path, steps=40, pause=0.1)
    driver.click(ui.trainButton)
    driver.wait(lambda: ui.learnProgress.value > 2)
    driver.click(ui.stopTrainingButton)
    wait_for_state(driver, State.CANCELLED)
    driver.wait(lambda: ui.resumeButton.wrapped.isVisibleTo(driver.parent.window))
    driver.click(ui.resumeButton)
    wait_for_state(driver, State.DONE)
    driver.wait(lambda: "passed the gate" in ui.verdictLine.text)


def test_training_continues_when_the_module_closes(driver, tmp_path, oblique):
    ui = driver.panel.learn.ui
    set_training(driver, tmp_path, steps=30, pause=0.1)
    driver.click(ui.trainButton)
    driver.wait(lambda: ui.learnProgress.value > 1)
    driver.module.cleanup()
    driver.module.setup()
    again = driver.panel.learn
    assert again.learning.training is not None
    wait_for_state(driver, State.DONE)
    driver.wait(lambda: "passed the gate" in again.ui.verdictLine.text)
    add_volume(oblique)  # the rest of the module works meanwhile


def test_offers_to_install_the_training_packages(driver, monkeypatch):
    from FLoMoSegmentationLib import installer

    learn = driver.panel.learn
    monkeypatch.setattr(
        installer, "missing", lambda **given: ["monai>=1.4"] if given.get("training") else []
    )
    learn.update_counts()
    ui = learn.ui
    assert not ui.trainButton.enabled
    tried = []
    monkeypatch.setattr(installer, "install", lambda folder, training: tried.append(training))
    driver.click(ui.installTrainingButton)
    assert tried == [True]
    assert "monai" in ui.installTrainingButton.toolTip
