"""Steps of the module's own test in a real Slicer, for what no other test can prove.

They need the program: PythonQt and CTK widgets, PythonSlicer, the Segment Editor, an event loop.
Each begins with an empty scene and raises `AssertionError` when something is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from FLoMoSegmentationLib import installer, parameters

PATIENCE = 180.0
"""Seconds for a run on a slow CPU, the start of the child process included."""


def all_widgets_are_there() -> None:
    """Load the .ui files with the real qMRML and ctk widgets; the scene reaches them."""
    panel = _panel()
    assert panel.install.ui.installBox is not None
    if installer.missing():
        return
    assert panel.segment.ui.imageSelector.mrmlScene() is slicer.mrmlScene
    assert panel.review.ui.editor.mrmlScene() is slicer.mrmlScene


def a_heart_is_segmented_while_the_windows_live() -> None:
    """Segment on a synthetic heart by click; the timer ticks and the labels arrive."""
    if installer.missing():
        return
    panel = _started()
    assert panel.logic.session.running is not None
    ticks = _wait(lambda: panel.logic.session.running is None)
    assert ticks, "the run ended before the event loop could turn"
    assert panel.entry is not None
    assert panel.entry.record.segmentation is not None
    assert panel.review.ui.editor.segmentationNode() is panel.entry.record.segmentation


def cancel_works() -> None:
    """Cancel a run: it ends within seconds and leaves the scene as it was."""
    if installer.missing():
        return
    panel = _started(slices=60)
    panel.segment.ui.cancelButton.click()
    began = time.monotonic()
    _wait(lambda: panel.logic.session.running is None)
    assert time.monotonic() - began < 5
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def a_map_of_uncertainty_is_computed_by_click() -> None:
    """Choose a map that is not there yet, compute it, and find it in the slice views."""
    if installer.missing():
        return
    panel = _started()
    _wait(lambda: panel.logic.session.running is None)
    ui = panel.review.ui
    ui.mapBox.setCurrentIndex(ui.mapBox.findData("network_cosine"))
    panel.review.uncertainty.on_map()
    ui.computeButton.click()
    assert panel.logic.session.running is not None
    _wait(lambda: panel.logic.session.running is None)
    assert panel.entry.record.map == "network_cosine"
    assert ui.showUncertainty.checked


def a_stroke_of_the_editor_is_taken_up_and_undone() -> None:
    """Paint on our segments with the Segment Editor, find it on the disk, and undo it."""
    if installer.missing():
        return
    panel = _started()
    _wait(lambda: panel.logic.session.running is None)
    entry, editor = panel.entry, panel.review.ui.editor
    segment = entry.record.segmentation.GetSegmentation().GetNthSegmentID(0)
    editor.setCurrentSegmentID(segment)
    editor.setActiveEffectByName("Logical operators")
    effect = editor.activeEffect()
    effect.setParameter("Operation", "FILL")
    effect.self().onApply()
    image = panel.logic.session.image(entry.key)
    _wait(lambda: image.autosave is not None)  # the timer takes it up
    assert image.autosave.flush(), "it is not on the disk"
    editor.undo()
    assert panel.logic.take_strokes(entry)
    panel.logic.session.labels_saved(entry.key)  # so that nothing is offered for restoring


STEPS: tuple[Callable[[], None], ...] = (
    all_widgets_are_there,
    a_heart_is_segmented_while_the_windows_live,
    cancel_works,
    a_map_of_uncertainty_is_computed_by_click,
    a_stroke_of_the_editor_is_taken_up_and_undone,
)


def _panel() -> Any:
    slicer.util.selectModule("FLoMoSegmentation")
    panel = slicer.modules.flomosegmentation.widgetRepresentation().self().panel
    parameters.write(panel.parameter_node(), parameters.Parameters(device="cpu"))
    panel.refresh()
    return panel


def _started(slices: int = 4) -> Any:
    """Click Segment on a heart, and return the panel."""
    panel = _panel()
    panel.segment.ui.imageSelector.setCurrentNode(_heart(slices))
    panel.segment.ui.segmentButton.click()
    return panel


def _heart(slices: int, size: int = 96) -> Any:
    row, column = np.mgrid[:size, :size]
    radius = np.hypot(row - size / 2, column - size / 2)
    image = np.full((slices, size, size), 60, np.int16)
    image[:, radius < size * 0.28] = 100
    image[:, radius < size * 0.2] = 220
    spacing = np.diag([-1.5, -1.5, 8.0, 1.0])
    return slicer.util.addVolumeFromArray(image, spacing, "heart")


def _wait(done: Callable[[], bool]) -> int:
    """Let the program live until something is done; return how often its events were handled."""
    end, ticks = time.monotonic() + PATIENCE, 0
    while not done():
        assert time.monotonic() < end, "it takes too long"
        slicer.app.processEvents()
        time.sleep(0.02)
        ticks += 1
    return ticks
