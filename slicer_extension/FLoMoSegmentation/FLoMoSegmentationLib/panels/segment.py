"""The Segment section: image, model, device, scope, Segment and Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import parameters, progress_bar, slice_axis
from FLoMoSegmentationLib.images import FILL_ATTRIBUTE, image_nodes
from FLoMoSegmentationLib.panels.base import Panel
from FLoMoSegmentationLib.panels.message_line import MessageLine
from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    Event,
    Message,
    Run,
    RunProgressed,
    RunStarted,
    chosen_model,
    messages,
    model_options,
    model_text,
)
from napari_flomo.volumes import MissingValues

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import ImageNodes
    from FLoMoSegmentationLib.panels.base import PanelHost


class SegmentPanel(Panel):
    """Choices, Segment, Cancel and messages."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self._updating = False
        self._waiting: tuple[Run, ...] = ()
        for title, name, _tip in messages.DEVICES:
            ui.deviceBox.addItem(title, name)
        self.scopes = {name: getattr(ui, f"{name}Scope") for _title, name, _tip in messages.SCOPES}
        for widget, tip in (
            (ui.imageLine, messages.IMAGE_TIP),
            (ui.cardLine, messages.CARD_TIP),
            (ui.segmentButton, messages.SEGMENT_TIP),
            (ui.progress, messages.PROGRESS_TIP),
        ):
            widget.setToolTip(tip)
        self.fill_models()
        ui.imageSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.on_image)
        ui.sliceAxisBox.connect("currentIndexChanged(int)", self.on_slice_axis)
        ui.modelBox.connect("currentIndexChanged(int)", self.on_choice)
        ui.deviceBox.connect("currentIndexChanged(int)", self.on_choice)
        for button in (*self.scopes.values(), ui.mirroredBox):
            button.connect("toggled(bool)", self.on_choice)
        ui.segmentButton.connect("clicked(bool)", self.on_segment)
        ui.cancelButton.connect("clicked(bool)", self.on_cancel)
        ui.cancelWaitingButton.connect("clicked(bool)", self.on_cancel_waiting)
        self.message = MessageLine(ui.message, ui.messageButton, host.board)
        host.logic.session.subscribe(self.on_event)
        self.show_running(None)
        self.fill_queue()

    def fill_models(self) -> None:
        """List the models that are installed or can be downloaded."""
        self._updating = True
        self.ui.modelBox.clear()
        for title, name, _tip in model_options():
            self.ui.modelBox.addItem(title, name)
        self._updating = False

    def refresh(self) -> None:
        """Show the choices of the parameter node."""
        node = self.host.parameter_node()
        chosen = parameters.read(node)
        self._updating = True
        model = chosen.model or chosen_model(self.host.logic.preferences.model)
        index = self.ui.modelBox.findData(model)
        if index < 0 and chosen.model:  # a folder, or a model that is no longer listed
            self.ui.modelBox.addItem(chosen.model, chosen.model)
            index = self.ui.modelBox.findData(chosen.model)
        self.ui.modelBox.setCurrentIndex(max(index, 0))
        self.ui.deviceBox.setCurrentIndex(max(self.ui.deviceBox.findData(chosen.device), 0))
        self.scopes[chosen.scope].setChecked(True)
        self.ui.mirroredBox.setChecked(chosen.mirrored)
        self.ui.imageSelector.setCurrentNode(parameters.image(node))
        self._updating = False
        self.describe_choices()

    def describe_choices(self) -> None:
        """Describe the chosen image and model."""
        node = self.ui.imageSelector.currentNode()
        nodes: ImageNodes | None = None
        try:
            nodes = image_nodes(node)
            self.ui.imageLine.setText(slice_axis.describe(nodes))
        except FlomoError as error:
            self.ui.imageLine.setText(str(error))
            nodes = None
        is_cine = nodes is not None and nodes.n_frames > 1
        self.fill_slice_axes(nodes)
        self.scopes["all"].setVisible(is_cine)
        if not is_cine and self.scopes["all"].checked:
            self.scopes["stack"].setChecked(True)
        self.ui.segmentButton.setEnabled(node is not None)
        self.describe_model()

    def describe_model(self) -> None:
        """Describe the chosen model, and which one segmented the image."""
        logic = self.host.logic
        opened = logic.images.of(self.ui.imageSelector.currentNode())
        image = None if opened is None else logic.session.image(opened.key)
        self.ui.cardLine.setText(model_text(self.model, image))

    def fill_slice_axes(self, nodes: ImageNodes | None) -> None:
        """Offer the axes of an image whose slice axis is ambiguous."""
        offered = {} if nodes is None else slice_axis.choices(nodes)
        for widget in (self.ui.sliceAxisLabel, self.ui.sliceAxisBox):
            widget.setVisible(bool(offered))
        updating, self._updating = self._updating, True
        self.ui.sliceAxisBox.clear()
        for name, title in {"": messages.SLICE_AXIS_PROMPT, **offered}.items():
            self.ui.sliceAxisBox.addItem(title, name)
        chosen = "" if nodes is None else nodes.slice_axis or ""
        self.ui.sliceAxisBox.setCurrentIndex(max(self.ui.sliceAxisBox.findData(chosen), 0))
        self._updating = updating

    @property
    def model(self) -> str:
        """Name or folder of the chosen model."""
        return str(self.ui.modelBox.currentData or DEFAULT_MODEL)

    def warm_up(self) -> None:
        """Load the chosen model, so that the first run is as quick as later ones."""
        self.host.logic.session.warm_up(self.model, str(self.ui.deviceBox.currentData))

    # Actions of the user

    def on_image(self, node: Any) -> None:
        """Choose another image."""
        if self._updating:
            return
        parameters.choose_image(self.host.parameter_node(), node)
        self.describe_choices()
        self.host.show_current()

    def on_slice_axis(self, _index: int = 0) -> None:
        """Set the slice axis of the image."""
        if self._updating:
            return
        nodes = image_nodes(self.ui.imageSelector.currentNode())
        slice_axis.choose(nodes, str(self.ui.sliceAxisBox.currentData or ""))
        self.ui.imageLine.setText(slice_axis.describe(nodes))

    def on_choice(self, _value: Any = None) -> None:
        """Save the chosen model, device, scope and mirroring."""
        if self._updating:
            return
        scope = next((name for name, button in self.scopes.items() if button.checked), "stack")
        parameters.change(
            self.host.parameter_node(),
            model=self.model,
            device=str(self.ui.deviceBox.currentData),
            scope=scope,
            mirrored=bool(self.ui.mirroredBox.checked),
        )
        self.describe_choices()

    def on_segment(self, _checked: bool = False) -> None:
        """Start a run, or ask first if it would overwrite work of the user."""
        chosen, node = parameters.read(self.host.parameter_node()), self.ui.imageSelector
        self.host.acted()

        def segment() -> None:
            self.host.logic.segment(
                node.currentNode(),
                self.model,
                chosen.device,
                chosen.scope,
                mirrored=chosen.mirrored,
            )

        def fill() -> None:
            image_nodes(node.currentNode()).storable.SetAttribute(FILL_ATTRIBUTE, "yes")
            self.attempt(segment)

        def segment_or_ask() -> None:
            try:
                segment()
            except MissingValues as missing:
                self.host.ask(messages.missing_values_message(str(missing), fill))

        self.attempt(segment_or_ask)

    def on_cancel(self, _checked: bool = False) -> None:
        """Cancel the run."""
        run = self.host.logic.session.running
        if run is not None:
            self.ui.cancelButton.setEnabled(False)
            progress_bar.stop(self.ui.progress)
            run.cancel()

    def on_cancel_waiting(self, _checked: bool = False) -> None:
        """Cancel the selected run that waits, or the last one."""
        if self._waiting:
            self._waiting[self.ui.queueList.currentRow].cancel()

    # Runs and messages

    def on_event(self, event: Event) -> None:
        """Show progress and end of a run; runs for maps are shown in the Review section."""
        run = getattr(event, "run", None)
        if run is None:
            return
        self.fill_queue()
        if run.only_maps:
            return
        if isinstance(event, RunStarted):
            self.show_running(event.run)
        elif isinstance(event, RunProgressed):
            progress_bar.show(self.ui.progress, event.progress)
        elif self.host.logic.session.running in (None, run):
            self.show_running(None)
            self.describe_model()

    def fill_queue(self) -> None:
        """List the runs that wait, each with the number of those before it."""
        session = self.host.logic.session
        self._waiting = tuple(run for run in session.runs if run is not session.running)
        self.ui.queueList.clear()
        for before, run in enumerate(session.runs):
            if run in self._waiting:
                image = None if run.key is None else session.image(run.key).name
                name = messages.run_name(run, image)
                self.ui.queueList.addItem(messages.waiting_text(name, before))
        for widget in (self.ui.queueList, self.ui.cancelWaitingButton):
            widget.setVisible(bool(self._waiting))

    def show_running(self, run: Run | None) -> None:
        """Show progress and Cancel during a run."""
        self.ui.progress.setVisible(run is not None)
        self.ui.cancelButton.setVisible(run is not None)
        self.ui.cancelButton.setEnabled(run is not None)
        if run is not None:
            progress_bar.start(self.ui.progress)
            self.host.poll_often()

    def say(self, text: str, level: str = "info") -> None:
        """Show one sentence until the next action of the user."""
        self.host.board.post(Message(text, level))
