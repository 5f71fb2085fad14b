"""The module's self test in the Slicer application.

The steps need PythonQt and CTK widgets, PythonSlicer, the Segment Editor and the event loop. Each
starts with an empty scene.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer

from FLoMoSegmentationLib import installer, parameters

TIMEOUT_SECONDS = 180.0
"""Enough for a run on a slow CPU, including the start of the child process."""


def load_all_widgets() -> None:
    """Load the .ui files with qMRML and CTK widgets, which must get the scene."""
    panel = _panel()
    assert panel.install.ui.installBox is not None
    if installer.missing():
        return
    assert panel.segment.ui.imageSelector.mrmlScene() is slicer.mrmlScene
    assert panel.review.ui.editor.mrmlScene() is slicer.mrmlScene


def segment_with_a_responsive_window() -> None:
    """Segment a synthetic heart; the event loop runs and the labels appear."""
    if installer.missing():
        return
    panel = _start_run()
    assert panel.logic.session.running is not None
    ticks = _wait(lambda: panel.logic.session.running is None)
    assert ticks, "the run ended before the event loop ran"
    assert panel.current is not None
    assert panel.current.results.segmentation is not None
    assert panel.review.ui.editor.segmentationNode() is panel.current.results.segmentation


def cancel_a_run() -> None:
    """Cancel a run: it ends within seconds and leaves the scene unchanged."""
    if installer.missing():
        return
    panel = _start_run(slices=60)
    panel.segment.ui.cancelButton.click()
    began = time.monotonic()
    _wait(lambda: panel.logic.session.running is None)
    assert time.monotonic() - began < 5
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def compute_an_uncertainty_map() -> None:
    """Compute an uncertainty map and show it in the slice views."""
    if installer.missing():
        return
    panel = _start_run()
    _wait(lambda: panel.logic.session.running is None)
    ui = panel.review.ui
    ui.mapBox.setCurrentIndex(ui.mapBox.findData("network_cosine"))
    panel.review.uncertainty.on_map()
    ui.computeButton.click()
    assert panel.logic.session.running is not None
    _wait(lambda: panel.logic.session.running is None)
    assert panel.current.results.shown_map == "network_cosine"
    assert ui.showUncertainty.checked


def draw_the_curves_of_a_cine() -> None:
    """Draw the curves of a cine, click a frame, and find one active Undo key in the window."""
    if installer.missing():
        return
    panel = _panel()
    panel.segment.ui.imageSelector.setCurrentNode(_add_cine())
    panel.segment.ui.allScope.setChecked(True)
    panel.segment.ui.segmentButton.click()
    _wait(lambda: panel.logic.session.running is None)
    curve = panel.cine.curve
    assert curve.chart.curves
    assert not panel.cine.ui.volumePlot.pixmap.isNull()
    curve.press(curve.chart.x_of(1), curve.chart.box.bottom)
    assert panel.current.nodes.frame == 1
    undo = qt.QKeySequence("Ctrl+Z").toString()
    shortcuts = [
        one
        for one in slicer.util.mainWindow().children()
        if one.className() == "QShortcut" and one.enabled and one.key.toString() == undo
    ]
    assert len(shortcuts) == 1, "two would be ambiguous, and neither would be called"


def edit_and_undo() -> None:
    """Edit a segment with the Segment Editor, find the edit in the journal, and undo it."""
    if installer.missing():
        return
    panel = _start_run()
    _wait(lambda: panel.logic.session.running is None)
    scene_image, editor = panel.current, panel.review.ui.editor
    segment = scene_image.results.segmentation.GetSegmentation().GetNthSegmentID(0)
    editor.setCurrentSegmentID(segment)
    editor.setActiveEffectByName("Logical operators")
    effect = editor.activeEffect()
    effect.setParameter("Operation", "FILL")
    effect.self().onApply()
    image = panel.logic.session.image(scene_image.key)
    _wait(lambda: image.autosave is not None)  # reported by the timer
    assert image.autosave.flush(), "not written to disk"
    editor.undo()
    assert panel.logic.report_edits(scene_image)
    panel.logic.session.labels_saved(scene_image.key)  # nothing to restore later


STEPS: tuple[Callable[[], None], ...] = (
    load_all_widgets,
    segment_with_a_responsive_window,
    cancel_a_run,
    compute_an_uncertainty_map,
    draw_the_curves_of_a_cine,
    edit_and_undo,
)


def _panel() -> Any:
    slicer.util.selectModule("FLoMoSegmentation")
    panel = slicer.modules.flomosegmentation.widgetRepresentation().self().panel
    parameters.write(panel.parameter_node(), parameters.Parameters(device="cpu"))
    panel.refresh()
    return panel


def _start_run(slices: int = 4) -> Any:
    """Click Segment for a synthetic heart, and return the panel."""
    panel = _panel()
    panel.segment.ui.imageSelector.setCurrentNode(_add_heart(slices))
    panel.segment.ui.segmentButton.click()
    return panel


def _add_heart(slices: int, size: int = 96) -> Any:
    row, column = np.mgrid[:size, :size]
    radius = np.hypot(row - size / 2, column - size / 2)
    image = np.full((slices, size, size), 60, np.int16)
    image[:, radius < size * 0.28] = 100
    image[:, radius < size * 0.2] = 220
    spacing = np.diag([-1.5, -1.5, 8.0, 1.0])
    return slicer.util.addVolumeFromArray(image, spacing, "heart")


def _add_cine(frames: int = 3) -> Any:
    """Add a cine of the heart, and return its proxy volume."""
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    for number in range(frames):
        volume = _add_heart(slices=3)
        sequence.SetDataNodeAtValue(volume, str(number))
        scene.RemoveNode(volume)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "cine browser")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.SetSelectedItemNumber(0)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser.GetProxyNode(sequence)


def _wait(done: Callable[[], bool]) -> int:
    """Process events until a condition holds; return how often they were processed."""
    end, ticks = time.monotonic() + TIMEOUT_SECONDS, 0
    while not done():
        assert time.monotonic() < end, "timed out"
        slicer.app.processEvents()
        time.sleep(0.02)
        ticks += 1
    return ticks
