"""The Segment panel: image, model, device and part of the image to segment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QRadioButton, QVBoxLayout

from napari_flomo.session import (
    Choice,
    Message,
    RunEvent,
    RunFinished,
    RunProgressed,
    Until,
    chosen_model,
    messages,
    model_options,
    model_text,
)
from napari_flomo.widgets import start_run
from napari_flomo.widgets.forms import (
    add_beside,
    insert_below,
    make_form,
    set_choices,
    set_tips,
    show_value,
)
from napari_flomo.widgets.forms.segment import SegmentOptions
from napari_flomo.widgets.keys import bind
from napari_flomo.widgets.layers import describe
from napari_flomo.widgets.missing_geometry import lacks_voxel_size, set_voxel_size, unclear_layout
from napari_flomo.widgets.panels.panel import EARLIER_TRAINING, Panel, ProgressBar, button, note
from napari_flomo.widgets.queue_list import QueueList
from napari_flomo.widgets.unsaved_box import UnsavedBox
from napari_flomo.widgets.viewer_state import viewer_state_of

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

    from napari_flomo.session import Event


class SegmentPanel(Panel):
    """Segment the active image."""

    name = "Segment"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer_state_of(napari_viewer))
        self._build()
        bind(self.viewer_state)
        self.fill_models()
        self._choose_remembered()
        self.viewer_state.current_changed.connect(self.refresh)
        self.viewer_state.slice_changed.connect(self._refresh_scope)
        self.viewer_state.session_changed.connect(self._on_event)
        self.viewer_state.models_changed.connect(self._on_models)
        self.viewer_state.computing_changed.connect(self._show_work)
        self.refresh()
        self._show_work()
        self.viewer_state.warm_up(self.model)
        self._announce_training()

    # Contents

    def _build(self) -> None:
        self.form = form = make_form(SegmentOptions)
        self.image_line = note(messages.IMAGE_TIP)
        self.card_line = note(messages.CARD_TIP)
        self.card_line.setTextFormat(Qt.TextFormat.RichText)
        self.voxel_button = button("", messages.VOXEL_SIZE_TIP, self._set_voxel_size)
        models = button(
            "Models…", "Download, verify and choose models", lambda: self.open("Models")
        )
        self.segment_button = button("Segment", messages.SEGMENT_TIP, self.segment)
        self.segment_button.setDefault(True)
        self.cancel_button = button(
            "Cancel", "Stop within a second; the layers are not changed", self.cancel
        )
        self.review_button = button(
            "Review…",
            "Go through the slices, the most uncertain first",
            lambda: self.open("Review"),
        )
        self.progress = ProgressBar()
        self.unsaved = UnsavedBox(self.viewer_state)
        self.queue = QueueList(self.viewer_state)

        insert_below(form, form.image, self.image_line)
        insert_below(form, form.model, self.card_line)
        for box in form.voxel_mm:
            box.native.setDecimals(3)
            box.native.lineEdit().returnPressed.connect(self._set_voxel_size)
        form.voxel_mm.changed.connect(self._show_voxel_size)
        self._show_voxel_size()
        add_beside(form.voxel_mm, self.voxel_button)
        add_beside(form.model, models)
        set_tips(form.device, messages.DEVICES)
        set_tips(form.scope, messages.SCOPES)
        form.image.changed.connect(self._on_image_chosen)
        form.slice_axis.changed.connect(self._on_slice_axis)
        form.model.changed.connect(self._show_card)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        buttons.addWidget(self.review_button, 1)
        disclaimer = note("Intended use")
        disclaimer.setText(messages.DISCLAIMER)
        layout = QVBoxLayout()
        layout.addWidget(self.unsaved)
        layout.addWidget(form.native)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.queue)
        layout.addStretch(1)
        layout.addWidget(disclaimer)
        self.fill(layout)

    @property
    def model(self) -> str:
        """Name of the chosen model."""
        return self.form().model or ""

    def fill_models(self) -> None:
        """List the models again, as after a download."""
        set_choices(self.form.model, model_options(), default=chosen_model(None))
        self._show_card()

    def choose_model(self, name: str) -> None:
        """Choose a model by name, if it is in the list."""
        if name in self.form.model.choices:
            self.form.update(model=name)

    def refresh(self) -> None:
        """Show what is open now."""
        entry, images = self.viewer_state.current, self.form.image
        options = [(one.image.name, one.image, "") for one in self.viewer_state.entries]
        set_choices(images, options)
        if entry is None:
            self.image_line.setText("Open an image, or drop a file or DICOM folder on the window.")
        else:
            show_value(images, entry.image)
            self.image_line.setText(describe(entry.image, entry.slice_axis))
        self._show_card()
        self._refresh_geometry()
        self.review_button.setEnabled(entry is not None and entry.labels is not None)
        self._refresh_scope()

    # Actions

    def segment(self) -> None:
        """Start, or ask first if that would overwrite work of the user."""
        options = self.form()
        self.viewer_state.board.acted(self.viewer_state.key)
        self.attempt(
            lambda: start_run.segment(
                self.viewer_state,
                options.model,
                options.device,
                options.scope,
                mirrored=options.mirrored,
            )
        )

    def cancel(self) -> None:
        """Stop the current run."""
        run, computing = self.viewer_state.session.running, self.viewer_state.lazy.computing
        if run is not None:
            self.cancel_button.setEnabled(False)
            self.progress.setFormat("Stopping…")
            run.cancel()
        elif computing is not None:
            computing.cancel()

    def _announce_training(self) -> None:
        """Show that an earlier training runs or has ended."""
        training = self.viewer_state.get_learning().training
        if training is not None:
            text = f"A training of {training.request.base} awaits you."
            choices = (Choice("Learn…", partial(self.open, "Learn"), "See how it went"),)
            self.viewer_state.post(
                Message(text, choices=choices, kind=EARLIER_TRAINING, until=Until.ANSWER)
            )

    def _on_image_chosen(self, image: Image | None) -> None:
        entry = self.viewer_state.entry_of(image)
        if entry is not None:
            self.viewer_state.viewer.layers.selection.active = image
            self.viewer_state.choose(entry)

    def _on_slice_axis(self, axis: str | None) -> None:
        entry = self.viewer_state.current
        if entry is not None:
            entry.slice_axis = axis
            self.viewer_state.current_changed.emit()

    def _set_voxel_size(self) -> None:
        options = self.form()
        if options.image is not None:
            set_voxel_size(options.image, options.voxel_mm)
            self.viewer_state.current_changed.emit()

    def _show_voxel_size(self, _voxel_mm: object = None) -> None:
        """Say on the button which size a click sets: until then none is set."""
        *_slices, row, column = self.form.voxel_mm.value
        size = f"{row:g}" if row == column else f"{row:g} × {column:g}"
        self.voxel_button.setText(messages.USE_VOXEL_SIZE.format(size))

    def _show_card(self, _model: str = "") -> None:
        key, images = self.viewer_state.key, self.viewer_state.session.images
        shown = next((image for image in images if image.key == key), None)
        self.card_line.setText(model_text(self.model, shown))

    def _choose_remembered(self) -> None:
        preferences = self.viewer_state.preferences
        self.choose_model(chosen_model(preferences.model))
        show_value(self.form.device, preferences.device)
        show_value(self.form.mirrored, preferences.mirrored)
        if preferences.warning:
            self.viewer_state.post(Message(preferences.warning, "warning", until=Until.ANSWER))

    def _refresh_geometry(self) -> None:
        """Ask for a voxel size or slice axis that the image does not specify."""
        form, entry = self.form, self.viewer_state.current
        unclear = None if entry is None else unclear_layout(entry.image)
        form.voxel_mm.visible = entry is not None and lacks_voxel_size(entry.image)
        form.voxel_mm[0].visible = entry is not None and entry.image.ndim > 2
        form.slice_axis.visible = unclear is not None
        if entry is not None and unclear is not None:
            axes = messages.slice_axis_choices(unclear).items()
            options = [(messages.SLICE_AXIS_PROMPT, None, "")]
            set_choices(form.slice_axis, options + [(title, name, "") for name, title in axes])
            show_value(form.slice_axis, entry.slice_axis)

    def _refresh_scope(self) -> None:
        entry = self.viewer_state.current
        ndim, scope = 0 if entry is None else entry.image.ndim, self.form.scope
        scope.visible = ndim > 2
        scope.native.findChildren(QRadioButton)[-1].setVisible(ndim == 4)
        if ndim < 3 or (ndim < 4 and scope.value == "all"):
            scope.value = "stack"
        self.segment_button.setEnabled(entry is not None)

    # Events

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunProgressed):
            self.progress.show_progress(event.progress)
        elif isinstance(event, RunEvent):
            self._show_work()
            if isinstance(event, RunFinished):
                if event.run.task == "pull":
                    self.fill_models()
                self._show_card()

    def _on_models(self, name: str) -> None:
        self.fill_models()
        self.choose_model(name)

    def _show_work(self) -> None:
        """Show the progress of the run in progress, or else of a lazy image."""
        run, computing = self.viewer_state.session.running, self.viewer_state.lazy.computing
        works = run is not None or computing is not None
        for widget in (self.progress, self.cancel_button):
            widget.setVisible(works)
        self.cancel_button.setEnabled(works and not (run is not None and run.cancelling))
        if run is not None:
            self.progress.show_progress(run.progress)
        elif computing is not None:
            self.progress.setRange(0, 0)
            self.progress.setFormat("Computing the lazy image")
