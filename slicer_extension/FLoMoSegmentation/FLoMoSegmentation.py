"""The 3D Slicer module FLoMo Segmentation; all of it is in ``FLoMoSegmentationLib``."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

HELP = """
Segments the heart in short-axis cardiac MRI (or whatever the chosen model knows), shows where the
network is uncertain, and takes you to the most uncertain slice. Correct in the Segment Editor,
accept, and let the network learn from it. The tutorial is docs/slicer.md of the project
napari-flomo. <p>For research and education. Not a medical device.</p>
"""
THANKS = """
FLoMo-Net and this module are open source under BSD-3-Clause; the weights that come with it were
trained on ACDC and are CC BY-NC-SA 4.0. Icon and pictures are made by scripts of the project.
"""


class FLoMoSegmentation(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("FLoMo Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "SegmentEditor", "Sequences", "Volumes", "Tables"]
        parent.contributors = ["napari-flomo developers"]
        parent.helpText = _(HELP)
        parent.acknowledgementText = _(THANKS)


class FLoMoSegmentationWidget(ScriptedLoadableModuleWidget):
    """The module's panel; `FLoMoSegmentationLib.widget.Widget` does the work."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.panel: Any = None

    def setup(self) -> None:
        """Build the panel; called by Slicer when the module is first opened."""
        from FLoMoSegmentationLib.widget import Widget

        ScriptedLoadableModuleWidget.setup(self)
        logic = ScriptedLoadableModuleLogic()
        logic.moduleName = "FLoMoSegmentation"
        self.panel = Widget(
            self.layout,
            lambda name: slicer.util.loadUI(self.resourcePath(name)),
            logic.getParameterNode,
        )

    def enter(self) -> None:
        """Take note that the module is on the screen."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        """Take note that another module is on the screen."""
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self) -> None:
        """End all of it: Slicer closes, or the module is loaded anew."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None


class FLoMoSegmentationTest(ScriptedLoadableModuleTest):
    """What only the real program can prove; run it with *Reload and Test*."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all steps; each says what it proves."""
        from FLoMoSegmentationLib import selftest

        for step in selftest.STEPS:
            self.setUp()
            self.delayDisplay(f"{step.__name__}: {step.__doc__}")
            step()
        self.delayDisplay("All steps passed.")
