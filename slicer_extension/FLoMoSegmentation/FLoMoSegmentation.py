"""Entry point of the 3D Slicer module FLoMo Segmentation; see ``FLoMoSegmentationLib``."""

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
Cardiac MRI segmentation with uncertainty, review and fine-tuning. The module segments the heart in
short-axis stacks and cines (or the structures of another model), shows where the network is
uncertain, and lists the most uncertain slices first. Correct them in the Segment Editor, accept
them, and fine-tune the model on your corrections. See the <a
href="https://napari-flomo.github.io/napari-flomo/slicer/">tutorial</a> and <a
href="https://napari-flomo.github.io/napari-flomo/faq/">questions and problems</a>.
<p>For research and education. Not a medical device.</p>
"""
THANKS = """
FLoMo-Net and this module are open source (BSD-3-Clause). The bundled weights were trained on ACDC
and are licensed under CC BY-NC-SA 4.0. The icon and pictures were made by scripts of the project.
"""


class FLoMoSegmentation(ScriptedLoadableModule):
    """Metadata of the module, shown by Slicer before it is opened."""

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
        """Handle that the module was opened."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        """Handle that another module was opened."""
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self) -> None:
        """Shut down; called when Slicer closes or the module is reloaded."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None


class FLoMoSegmentationTest(ScriptedLoadableModuleTest):
    """Tests that need the application; run them with *Reload and Test*."""

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all steps; each shows what it tests."""
        from FLoMoSegmentationLib import selftest

        for step in selftest.STEPS:
            self.setUp()
            self.delayDisplay(f"{step.__name__}: {step.__doc__}")
            step()
        self.delayDisplay("All steps passed.")
