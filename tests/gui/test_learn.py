"""The Learn panel: accepted slices, a tiny training, the gate, and the decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtGui import QCloseEvent

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import CorrectionStore, default_store
from napari_flomo.jobs import State, Worker, python_spawner
from napari_flomo.models import in_use
from napari_flomo.session.learning import FinetuneConfig, Learning
from napari_flomo.volumes import Volume
from napari_flomo.widgets import close_guard


@pytest.fixture
def learn(
    bench: Any, trainer: str, corrections: CorrectionStore, repository: Path
) -> Iterator[Any]:
    """The panel, with a program that trains in no time, and five accepted slices in the store."""
    child = str(repository / "tests" / "session" / "tiny_child.py")
    bench.viewer_state.learning = Learning(
        bench.viewer_state.in_main_thread,
        worker=lambda: Worker(python_spawner(arguments=[child])),
        executable=trainer,
    )
    panel = bench.segment.open("Learn")
    yield panel
    learning = panel.viewer_state.learning
    if learning.running:
        learning.cancel()
        learning.training.wait(10)


def settings(learn: Any, data_home: Path, **values: Any) -> None:
    """Tell the program how to train."""
    path = data_home / "settings.json"
    path.write_text(json.dumps(values))
    learn.settings = str(path)


def wait_for(bench: Any, *states: State) -> None:
    learning = bench.viewer_state.learning
    bench.qtbot.waitUntil(
        lambda: learning.training is not None and learning.training.state in states, timeout=60_000
    )


def test_accepted_slices_wait(bench: Any, learn: Any, make_heart: Callable[..., Volume]) -> None:
    entry = bench.add(make_heart(slices=3, seed=5))
    bench.run()
    bench.click(bench.review.next_button)
    bench.click(bench.review.accept_button)
    said = bench.review.kept
    bench.qtbot.waitUntil(lambda: "1 accepted slice is kept" in said.text(), timeout=20_000)
    assert bench.viewer_state.opened(entry).kept.slices == 1
    assert len(CorrectionStore.open(default_store()).records()) == 3

    bench.segment.open("Learn")
    bench.qtbot.waitUntil(
        lambda: "6 accepted slices of 3 patients" in learn.summary.text(), timeout=20_000
    )
    bench.qtbot.waitUntil(
        lambda: f"Ready to teach {DEFAULT_MODEL}" in learn.summary.text(), timeout=20_000
    )
    assert learn.train_button.isEnabled()


def test_train_and_promote(bench: Any, learn: Any, data_home: Path) -> None:
    assert learn.base == DEFAULT_MODEL
    assert not learn.curves.isVisible()
    assert not learn.gate_group.isVisible()
    settings(learn, data_home, steps=12, pause=0.5)
    bench.click(learn.train_button)
    bench.qtbot.waitUntil(lambda: learn.progress.value() > 2, timeout=30_000)
    assert learn.cancel_button.isVisible()
    assert not learn.train_button.isEnabled()
    assert "left" in learn.progress.format()
    wait_for(bench, State.DONE)
    bench.qtbot.waitUntil(learn.gate_group.isVisible, timeout=20_000)
    loss, dice = learn.curves.curve("loss"), learn.curves.curve("dice")
    assert len(loss) == 6
    assert len(dice) == 7
    assert loss[0].y() < loss[-1].y(), "the loss falls"
    assert dice[0].y() > dice[-1].y(), "the Dice rises"
    picture = learn.curves.grab().toImage()
    colour = picture.pixelColor(int(dice[-1].x()), int(dice[-1].y()))
    assert colour.green() > colour.red()
    assert "passed the gate" in learn.gate.verdict.text()
    assert "rose by 0.03" in learn.gate.reasons.text()
    table = learn.gate.table
    assert table.rowCount() == 20
    assert table.item(0, 0).text() == "Reference patients"
    assert [table.item(1, column).text() for column in range(4)] == [
        "mean",
        "Dice",
        "0.800",
        "0.810",
    ]
    assert not learn.gate.picture.pixmap().isNull()
    candidate = bench.viewer_state.learning.training.candidate
    bench.click(learn.promote_button)
    assert in_use(DEFAULT_MODEL) == candidate
    assert bench.segment.model == candidate
    assert bench.viewer_state.preferences.model == candidate
    assert learn.base == candidate
    assert not learn.gate_group.isVisible()
    models = bench.segment.open("Models")
    rows = [models.table.item(row, 1).text() for row in range(models.table.rowCount())]
    assert "fine-tuned on this computer, in use" in rows
    bench.segment.open("Learn")
    bench.click(learn.rollback_button)
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    assert bench.segment.model == DEFAULT_MODEL
    assert learn.base == DEFAULT_MODEL
    assert not learn.rollback_button.isVisible()


def test_refused_and_kept(bench: Any, learn: Any, data_home: Path) -> None:
    settings(learn, data_home, verdict="refused")
    bench.click(learn.train_button)
    wait_for(bench, State.DONE)
    bench.qtbot.waitUntil(learn.gate_group.isVisible, timeout=20_000)
    assert "did not pass" in learn.gate.verdict.text()
    assert "fell by 0.05" in learn.gate.reasons.text()
    assert not learn.promote_button.isEnabled()
    bench.click(learn.keep_button)
    assert in_use(DEFAULT_MODEL) == DEFAULT_MODEL
    assert not learn.gate_group.isVisible()
    assert "stays in use" in learn.message.text.text()


def test_cancel_and_resume(bench: Any, learn: Any, data_home: Path) -> None:
    settings(learn, data_home, steps=3000, pause=0.05)  # it never ends by itself
    bench.click(learn.train_button)
    bench.qtbot.waitUntil(lambda: learn.progress.value() > 1, timeout=30_000)
    bench.click(learn.cancel_button)
    wait_for(bench, State.CANCELLED)
    said = learn.message.text
    bench.qtbot.waitUntil(lambda: "was stopped" in said.text(), timeout=20_000)
    assert learn.train_button.isEnabled()
    go_on, _drop = learn.message.buttons
    (data_home / "settings.json").write_text(json.dumps({"steps": 6, "pause": 0.01}))
    bench.click(go_on)
    wait_for(bench, State.DONE)
    bench.qtbot.waitUntil(learn.gate_group.isVisible, timeout=20_000)


def test_closing_the_window_asks(
    bench: Any, learn: Any, trainer: str, data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(learn, data_home, steps=3000, pause=0.05)
    bench.click(learn.train_button)
    bench.qtbot.waitUntil(lambda: learn.progress.value() > 1, timeout=30_000)
    training = bench.viewer_state.learning.training
    answers = [close_guard.STAY, close_guard.CONTINUE]
    monkeypatch.setattr(
        close_guard, "ask", lambda _window: answers.pop(0) if answers else close_guard.CONTINUE
    )
    window = bench.viewer.window._qt_window
    assert not window.close()
    assert window.isVisible()
    assert not training.state.final
    (watcher,) = bench.viewer_state.findChildren(close_guard.CloseGuard)
    assert not watcher.eventFilter(window, QCloseEvent()), "the window may go"
    assert answers == []
    bench.viewer_state.learning.close()
    again = Learning(executable=trainer)
    assert again.training.folder == training.folder
    assert again.running, "it went on without the window"
    again.close(stop=True)
    assert training.wait(10)


def test_an_earlier_training_is_found(
    bench: Any, trainer: str, corrections: CorrectionStore
) -> None:
    earlier = Learning(executable=trainer)
    earlier.train(FinetuneConfig(DEFAULT_MODEL, earlier.store))
    assert earlier.training.wait(60)
    earlier.close()
    bench.viewer_state.learning = None
    bench.segment._announce_training()
    assert "awaits you" in bench.segment.message.text.text()
    bench.click(bench.segment.message.buttons[0])
    panel = bench.segment.open("Learn")
    bench.qtbot.waitUntil(panel.gate_group.isVisible, timeout=20_000)
    assert "passed the gate" in panel.gate.verdict.text()


def test_without_the_training_package(
    bench: Any, corrections: CorrectionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_flomo.session.learning import learning as module

    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    panel = bench.segment.open("Learn")
    assert "5 accepted slices of 2 patients" in panel.summary.text()
    assert "napari-flomo[train]" in panel.summary.text()
    assert not panel.train_button.isEnabled()


def test_what_is_remembered(bench: Any, learn: Any, tmp_path: Path) -> None:
    preferences = bench.viewer_state.preferences
    alias, replay = learn.corrections.reader.native, learn.form.replay.line_edit.native
    alias.setText("reader-7")
    alias.editingFinished.emit()
    assert preferences.reader == "reader-7"
    alias.setText("Dr. Doe")
    alias.editingFinished.emit()
    assert "alias" in learn.message.text.text()
    assert alias.text() == preferences.reader == "reader-7"
    replay.setText(str(tmp_path))
    replay.editingFinished.emit()
    assert preferences.replay == str(tmp_path)
    bench.click(learn.corrections.keep_corrections.native)
    assert not preferences.keep_corrections
    replay.setText("/nowhere")
    bench.click(learn.train_button)
    assert "/nowhere does not exist" in learn.message.text.text()
    assert bench.viewer_state.learning.training is None
