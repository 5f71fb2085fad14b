"""The Segment section: image, model, device, how much, go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib import axes, parameters, progress_bar, recalling, words
from FLoMoSegmentationLib.images import describe, source_of
from FLoMoSegmentationLib.parameters import SCOPES, Parameters
from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import in_use, info, list_models
from napari_flomo.session import (
    EarlierFound,
    Event,
    Problem,
    Run,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunStarted,
    remarks_after,
)
from napari_flomo.session import messages as shared_words

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from FLoMoSegmentationLib.widget import Widget

COLOURS = {"info": "", "warning": "color: #b45309", "error": "color: #dc2626"}


class SegmentPanel:
    """Choose, click Segment, wait or cancel.

    Parameters
    ----------
    ui
        Widgets of ``Segment.ui`` by name.
    host
        The whole module.
    """

    def __init__(self, ui: Any, host: Widget) -> None:
        self.ui = ui
        self.host = host
        self._filling = False
        for name, title in words.DEVICES:
            ui.deviceBox.addItem(title, name)
        self.scopes = {name: getattr(ui, f"{name}Scope") for name in SCOPES}
        self.fill_models()
        ui.imageSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.on_image)
        ui.sliceAxisBox.connect("currentIndexChanged(int)", self.on_slice_axis)
        ui.modelBox.connect("currentIndexChanged(int)", self.on_choice)
        ui.deviceBox.connect("currentIndexChanged(int)", self.on_choice)
        for button in (*self.scopes.values(), ui.mirroredBox):
            button.connect("toggled(bool)", self.on_choice)
        ui.segmentButton.connect("clicked(bool)", self.on_segment)
        ui.cancelButton.connect("clicked(bool)", self.on_cancel)
        ui.messageButton.connect("clicked(bool)", self.on_answer)
        host.logic.session.subscribe(self.on_event)
        self.show_running(None)
        self.say("")

    def fill_models(self) -> None:
        """List the models, those on this computer and those that would be fetched."""
        self._filling = True
        self.ui.modelBox.clear()
        for state in list_models():
            if state.place != "unpublished":
                title = state.name if state.folder else f"{state.name} (will be fetched)"
                self.ui.modelBox.addItem(title, state.name)
        self._filling = False

    def refresh(self) -> None:
        """Show what the parameter node says."""
        node = self.host.parameter_node()
        chosen = parameters.read(node)
        self._filling = True
        model = chosen.model or self.host.logic.preferences.model or in_use(DEFAULT_MODEL)
        at = self.ui.modelBox.findData(model)
        if at < 0 and chosen.model:  # a folder, or a model that is not in the list any more
            self.ui.modelBox.addItem(chosen.model, chosen.model)
            at = self.ui.modelBox.findData(chosen.model)
        self.ui.modelBox.setCurrentIndex(max(at, 0))
        self.ui.deviceBox.setCurrentIndex(max(self.ui.deviceBox.findData(chosen.device), 0))
        self.scopes[chosen.scope].setChecked(True)
        self.ui.mirroredBox.setChecked(chosen.mirrored)
        self.ui.imageSelector.setCurrentNode(parameters.image(node))
        self._filling = False
        self.describe_choices()

    def describe_choices(self) -> None:
        """Say what the chosen image and model are."""
        node = self.ui.imageSelector.currentNode()
        moving, source = False, None
        try:
            source = source_of(node)
            moving = source.n_frames > 1
            self.ui.imageLine.setText(describe(source))
        except FlomoError as error:
            self.ui.imageLine.setText(str(error))
            source = None
        self.offer_axes(source)
        self.scopes["all"].setVisible(moving)
        if not moving and self.scopes["all"].checked:
            self.scopes["stack"].setChecked(True)
        self.ui.segmentButton.setEnabled(node is not None)
        try:
            self.ui.cardLine.setText(words.card_text(info(self.model)[1]))
        except FlomoError as error:
            self.ui.cardLine.setText(str(error))

    def offer_axes(self, source: Source | None) -> None:
        """Offer the axes of an image that does not tell along which one its slices lie."""
        offered = {} if source is None else axes.choices(source)
        for widget in (self.ui.sliceAxisLabel, self.ui.sliceAxisBox):
            widget.setVisible(bool(offered))
        filling, self._filling = self._filling, True
        self.ui.sliceAxisBox.clear()
        for name, title in {"": shared_words.SLICE_AXIS_PROMPT, **offered}.items():
            self.ui.sliceAxisBox.addItem(title, name)
        chosen = "" if source is None else source.slice_axis or ""
        self.ui.sliceAxisBox.setCurrentIndex(max(self.ui.sliceAxisBox.findData(chosen), 0))
        self._filling = filling

    @property
    def model(self) -> str:
        """Name or folder of the chosen model."""
        return str(self.ui.modelBox.currentData or DEFAULT_MODEL)

    # What the user does

    def on_image(self, node: Any) -> None:
        """Another image was chosen."""
        if self._filling:
            return
        parameters.choose_image(self.host.parameter_node(), node)
        self.describe_choices()
        self.host.show_current()

    def on_slice_axis(self, _index: int = 0) -> None:
        """Take the axis along which the user says that the slices lie."""
        if self._filling:
            return
        source = source_of(self.ui.imageSelector.currentNode())
        axes.choose(source, str(self.ui.sliceAxisBox.currentData or ""))
        self.ui.imageLine.setText(describe(source))

    def on_choice(self, _value: Any = None) -> None:
        """Another model, device, scope or number of views was chosen."""
        if self._filling:
            return
        scope = next((name for name, one in self.scopes.items() if one.checked), "stack")
        device = str(self.ui.deviceBox.currentData)
        mirrored = bool(self.ui.mirroredBox.checked)
        node = self.host.parameter_node()
        parameters.change(node, model=self.model, device=device, scope=scope, mirrored=mirrored)
        self.describe_choices()

    def on_segment(self, _checked: bool = False) -> None:
        """Start, unless that would do away with corrections and the user says no."""
        self.attempt(parameters.read(self.host.parameter_node()))

    def attempt(self, chosen: Parameters) -> None:
        """Start a run, and say so when it is refused."""
        self.say("")
        node, logic = self.ui.imageSelector.currentNode(), self.host.logic
        try:
            entry = logic.open(node)
            count = logic.corrected_slices(entry, logic.scope(entry, chosen.scope))
            if count and not self._sure(count):
                return
            logic.segment(node, self.model, chosen.device, chosen.scope, mirrored=chosen.mirrored)
        except FlomoError as error:
            self.say(str(error), "warning")

    def on_cancel(self, _checked: bool = False) -> None:
        """Stop what runs."""
        run = self.host.logic.session.running
        if run is not None:
            self.ui.cancelButton.setEnabled(False)
            progress_bar.stop(self.ui.progress)
            run.cancel()

    # What the work tells

    def on_event(self, event: Event) -> None:
        """Show the progress and the end of a run; uncertainty maps have a line of their own."""
        if isinstance(event, EarlierFound):
            if event.problem is not None:
                self.say(event.problem, "warning")
            self.offer_earlier()
        run = getattr(event, "run", None)
        if run is not None and run.only_maps:
            return
        if isinstance(event, RunStarted):
            self.show_running(event.run)
        elif isinstance(event, RunProgressed):
            progress_bar.show(self.ui.progress, event.progress)
        elif isinstance(event, RunFinished):
            self.show_running(None)
            self.host.show_current()
            if remarks := remarks_after(self.host.logic.session.images, event.run.key):
                self.say(remarks, "warning")
        elif isinstance(event, RunCancelled):
            self.show_running(None)
            self.say("Cancelled; nothing was changed.")
        elif isinstance(event, RunFailed):
            self.show_running(None)
            on_cpu = replace(parameters.read(self.host.parameter_node()), device="cpu")
            self.on_problem(event.problem, lambda: self.attempt(on_cpu))

    def on_problem(self, problem: Problem, on_cpu: Callable[[], None]) -> None:
        """Say what went wrong; a GPU that is too small is followed by an offer of the CPU."""
        self.say(problem.sentence, "error")
        if problem.kind == "out_of_gpu_memory" and slicer.util.confirmYesNoDisplay(
            f"{problem.sentence}\nDo the same on the CPU? It is slower, but it fits."
        ):
            on_cpu()

    def show_running(self, run: Run | None) -> None:
        """Show progress and Cancel while something runs."""
        self.ui.progress.setVisible(run is not None)
        self.ui.cancelButton.setVisible(run is not None)
        self.ui.cancelButton.setEnabled(run is not None)
        if run is not None:
            progress_bar.begin(self.ui.progress)
            self.host.hurry()

    def offer_earlier(self) -> None:
        """Offer what was accepted of the chosen image on an earlier day, if there is any."""
        entry = self.host.entry
        if entry is None or entry.earlier is None:
            return
        self.say(shared_words.earlier_text(len(entry.earlier.places)))
        self.ui.messageButton.setText(shared_words.EARLIER_TITLE)
        self.ui.messageButton.setToolTip(shared_words.EARLIER_TIP)
        self.ui.messageButton.setVisible(True)

    def on_answer(self, _checked: bool = False) -> None:
        """Bring back what was accepted on an earlier day."""
        if self.host.entry is not None:
            recalling.bring_back(self.host.logic, self.host.entry)
            self.host.review.refresh()
            self.say("They are as you accepted them; Undo in the Segment Editor takes them back.")

    def say(self, text: str, level: str = "info") -> None:
        """Show one sentence under the buttons, in place of the last one and what it offered."""
        self.ui.messageButton.setVisible(False)
        self.ui.message.setText(text)
        self.ui.message.setStyleSheet(COLOURS[level])

    def _sure(self, count: int) -> bool:
        slices = "a slice that you corrected" if count == 1 else f"{count} slices you corrected"
        return bool(
            slicer.util.confirmOkCancelDisplay(
                f"This will find the labels of {slices} anew; Undo in the Segment Editor brings "
                "yours back."
            )
        )
