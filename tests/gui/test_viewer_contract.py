"""The story of `viewer_story` in a napari window."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")
sys.path.append(str(Path(__file__).parents[1] / "contract"))

import study_story
from cine_story import tell_of_phases
from qtpy.QtCore import Qt
from suggestion_story import tell_of_suggestions
from viewer_story import tell

from napari_flomo.session import SliceIndex
from napari_flomo.volumes import Volume


class NapariStage:
    """A window with its panels, a mouse and a keyboard."""

    def __init__(self, bench: Any, volume: Volume) -> None:
        self.bench, self.volume = bench, volume
        state = bench.viewer_state
        self.session, self.presenter, self.adapter = state.session, state.presenter, state.adapter
        self.entry = bench.add(volume)
        bench.pick("toy")

    def segment(self) -> None:
        self.bench.click(self.bench.segment.segment_button)
        self.bench.wait_idle()

    def reply(self, title: str) -> str:
        message = self.bench.segment.message
        question = message.text.text()
        self.bench.click(next(button for button in message.buttons if button.text() == title))
        self.bench.wait_idle()
        return question

    def paint(self, where: np.ndarray, code: int) -> None:
        layer = self.entry.labels
        shown = np.zeros(layer.data.shape, bool)
        frame = self.bench.viewer_state.position(self.entry).frame
        shown.reshape(-1, *where.shape)[frame] = where
        layer.data_setitem(np.nonzero(shown), np.full(where.sum(), code))
        self.wait(lambda: (self.labels.data[shown] == code).all() and self.measured())

    def listed(self) -> tuple[SliceIndex, ...]:
        return self.bench.review.list.slices

    def contours(self) -> bool:
        return self.entry.labels.contour > 0

    def answer(self, title: str) -> None:
        buttons = self.bench.review.message.buttons
        self.bench.click(next(one for one in buttons if one.text() == title))

    def undo(self) -> None:
        self.bench.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        self.wait(self.measured)

    def redo(self) -> None:
        modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        self.bench.press(Qt.Key.Key_Z, modifiers)
        self.wait(self.measured)

    def shown(self) -> np.ndarray:
        return np.asarray(self.bench.viewer_state.current.labels.data)

    def hide_labels(self) -> None:
        self.entry.labels.visible = False

    def can_learn_study(self) -> bool:
        return self.bench.review.learning.button.isEnabled()

    def learn_study(self) -> None:
        self.bench.click(self.bench.review.learning.button)
        assert self.bench.review.learning.button.text() == "Cancel"
        self.bench.wait_idle()
        assert self.bench.review.message.text.text().startswith("Learnt from 2 accepted slices:")

    def crash(self) -> None:
        self.bench.viewer.layers.clear()
        self.entry = self.bench.add(self.volume, "again")

    def wait(self, done: Callable[[], Any]) -> None:
        self.bench.qtbot.waitUntil(lambda: bool(done()), timeout=30_000)

    @property
    def labels(self) -> Volume:
        return self.bench.viewer_state.opened(self.entry).labels

    def measured(self) -> bool:
        """Return True once the session has counted what is in the layer."""
        image = self.bench.viewer_state.opened(self.entry)
        return all(
            sum(image.counts.voxels(code, frame) for frame in range(image.counts.n_frames))
            == (self.shown() == code).sum()
            for code in (2, 3)
        )


def test_the_story(bench: Any, make_heart: Callable[..., Volume], trainer: str) -> None:
    tell(NapariStage(bench, make_heart(slices=4)), trainer)


def test_phases_of_a_cine(bench: Any, make_cine: Callable[..., Volume]) -> None:
    tell_of_phases(NapariStage(bench, make_cine()))


def test_learning_from_the_open_study(bench: Any, make_heart: Callable[..., Volume]) -> None:
    tell_of_suggestions(NapariStage(bench, make_heart(slices=4)))


class NapariStudies(NapariStage):
    """A window with the Studies panel."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        state = bench.viewer_state
        self.session, self.adapter, self.studies = state.session, state.adapter, state.get_studies()
        self.panel = bench.viewer.window.add_plugin_dock_widget("napari-flomo", "Studies")[1]
        bench.pick("toy")

    @property
    def entry(self) -> Any:
        return self.bench.viewer_state.current

    def accept(self) -> None:
        self.bench.click(self.bench.review.accept_button)

    def next_study(self) -> None:
        self.bench.click(self.panel.next_button)

    def leave(self, action: Callable[[], None]) -> str:
        action()
        return self.reply("Save and go on")


def test_a_day_with_a_work_list(
    bench: Any, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    study_story.tell(NapariStudies(bench), tmp_path / "studies", make_heart(slices=4))
