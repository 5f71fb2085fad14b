"""The story of `viewer_story` in a scene of Slicer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers import add_cine, add_volume, paint, painted

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")
sys.path.append(str(Path(__file__).parents[1] / "contract"))

import study_story
from cine_story import tell_of_phases
from PySide6.QtCore import Qt
from suggestion_story import tell_of_suggestions
from viewer_story import tell


class SlicerStage:
    """The module's panels and a Segment Editor."""

    def __init__(self, driver, program, volume):
        self.driver, self.program, self.volume = driver, program, volume
        self.logic = driver.panel.logic
        self.session, self.presenter = self.logic.session, self.logic.presenter
        self.adapter = self.logic.adapter
        driver.choose(add_volume(volume) if volume.data.ndim == 3 else add_cine(volume)[0])

    @property
    def scene_image(self):
        return self.driver.panel.current

    def segment(self):
        """Click Segment; a dialog is cancelled."""
        self.driver.answer = False
        self.click()

    def reply(self, title):
        """Click again and answer: a dialog does not wait."""
        question = self.driver.asked[-1]
        self.driver.answer = title
        self.click()
        return question

    def click(self):
        self.driver.click(self.driver.panel.segment.ui.segmentButton)
        self.wait(lambda: self.session.running is None)

    def paint(self, where, code):
        paint(self.scene_image.results.segmentation, code, where, self.scene_image.nodes.volume)
        self.wait(lambda: not self.scene_image.painted_frames)

    def listed(self):
        return self.driver.panel.review.slices

    def contours(self):
        return not self.scene_image.results.segmentation.GetDisplayNode().GetVisibility2DFill()

    def answer(self, title):
        button = self.driver.panel.segment.ui.messageButton
        assert button.text == title
        self.driver.click(button)

    def undo(self):
        self.driver.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        self.wait(lambda: not self.scene_image.painted_frames)

    def redo(self):
        self.driver.panel.review.ui.editor.redo()
        self.wait(lambda: not self.scene_image.painted_frames)

    def shown(self):
        return painted(self.logic, self.scene_image)[0]

    def hide_labels(self):
        self.scene_image.segmentation.GetDisplayNode().SetVisibility2D(False)

    def can_learn_study(self):
        return self.driver.panel.review.ui.learnStudyButton.isEnabled()

    def learn_study(self):
        self.driver.click(self.driver.panel.review.ui.learnStudyButton)
        self.wait(lambda: self.session.running is None)
        assert self.driver.panel.segment.ui.message.text.startswith("Learnt from 2 accepted")

    def crash(self):
        self.program.close_scene()
        self.program.slice_view("Red")
        self.driver.choose(add_volume(self.volume, "again"))

    def wait(self, done):
        self.driver.wait(done)


def test_viewer_contract(driver, program, oblique, trainer):
    tell(SlicerStage(driver, program, oblique), trainer)


def test_phases_of_a_cine(driver, program, make_cine):
    tell_of_phases(SlicerStage(driver, program, make_cine()))


def test_learning_from_the_open_study(driver, program, oblique):
    tell_of_suggestions(SlicerStage(driver, program, oblique))


class SlicerStudies(SlicerStage):
    """The module without an image."""

    def __init__(self, driver, program):
        self.driver, self.program = driver, program
        self.logic = driver.panel.logic
        self.session, self.adapter = self.logic.session, self.logic.adapter
        self.studies = driver.panel.studies.studies
        driver.answer = True

    def segment(self):
        self.click()

    def accept(self):
        self.driver.click(self.driver.panel.review.ui.acceptButton)

    def next_study(self):
        self.driver.click(self.driver.panel.studies.ui.nextStudyButton)

    def leave(self, action):
        action()
        return self.driver.asked[-1]


def test_a_day_with_a_work_list(driver, program, oblique, tmp_path):
    study_story.tell(SlicerStudies(driver, program), tmp_path / "studies", oblique)
