"""The Segment section: image, model, device, how much, go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import axes, parameters, progress_bar
from FLoMoSegmentationLib.images import describe, source_of
from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import in_use, info, list_models
from napari_flomo.session import (
    Event,
    Message,
    Run,
    RunProgressed,
    RunStarted,
    messages,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from FLoMoSegmentationLib.widget import Widget
    from napari_flomo.session import Choice

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
        self._offer: Choice | None = None  # of the message that is shown
        for title, name, _tip in messages.DEVICES:
            ui.deviceBox.addItem(title, name)
        self.scopes = {name: getattr(ui, f"{name}Scope") for _title, name, _tip in messages.SCOPES}
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
                self.ui.modelBox.addItem(messages.model_title(state), state.name)
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
        """Describe the chosen image and model."""
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
            self.ui.cardLine.setText(messages.card_text(info(self.model)[1]))
        except FlomoError as error:
            self.ui.cardLine.setText(str(error))

    def offer_axes(self, source: Source | None) -> None:
        """Offer the axes of an image that does not tell along which one its slices lie."""
        offered = {} if source is None else axes.choices(source)
        for widget in (self.ui.sliceAxisLabel, self.ui.sliceAxisBox):
            widget.setVisible(bool(offered))
        filling, self._filling = self._filling, True
        self.ui.sliceAxisBox.clear()
        for name, title in {"": messages.SLICE_AXIS_PROMPT, **offered}.items():
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
        """Set the slice axis of the image."""
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
        """Start, or ask first if that would overwrite work of the user."""
        chosen = parameters.read(self.host.parameter_node())
        self.say("")
        try:
            self.host.logic.segment(
                self.ui.imageSelector.currentNode(),
                self.model,
                chosen.device,
                chosen.scope,
                mirrored=chosen.mirrored,
            )
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
        run = getattr(event, "run", None)
        if run is None or run.only_maps:
            return
        if isinstance(event, RunStarted):
            self.show_running(event.run)
        elif isinstance(event, RunProgressed):
            progress_bar.show(self.ui.progress, event.progress)
        else:
            self.show_running(None)

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
        message = None if entry is None else self.host.logic.presenter.earlier_message(entry.key)
        if message is not None:
            self.show_message(message)

    def on_answer(self, _checked: bool = False) -> None:
        """Do what the message offers."""
        offer = self._offer
        self.say("")
        if offer is not None:
            offer.action()

    def say(self, text: str, level: str = "info") -> None:
        """Show one sentence under the buttons, in place of the last message."""
        self.show_message(Message(text, level))

    def show_message(self, message: Message) -> None:
        """Show a message with the first of its choices; an offer for another image waits."""
        entry = self.host.entry
        offer = next(iter(message.choices), None)
        if offer is not None and (entry is None or entry.key != message.key):
            return
        self._offer = offer
        self.ui.message.setText(message.text)
        self.ui.message.setStyleSheet(COLOURS[message.level])
        self.ui.messageButton.setVisible(offer is not None)
        if offer is not None:
            self.ui.messageButton.setText(offer.title)
            self.ui.messageButton.setToolTip(offer.tip)
