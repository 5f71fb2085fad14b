"""The Learn panel: available corrections, training, curves, report of the gate, decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QVBoxLayout

from napari_flomo.errors import FlomoError
from napari_flomo.models import list_models
from napari_flomo.session import (
    Choice,
    CorrectionKept,
    Message,
    Until,
    messages,
    promoted_text,
)
from napari_flomo.widgets.curve_plot import CurvePlot
from napari_flomo.widgets.delayed import delayed
from napari_flomo.widgets.forms import make_form, set_choices
from napari_flomo.widgets.forms.learn import (
    CorrectionOptions,
    make_finetune_form,
    on_folder_chosen,
)
from napari_flomo.widgets.panels.gate_box import GateBox
from napari_flomo.widgets.panels.panel import EARLIER_TRAINING, Panel, ProgressBar, button, note
from napari_flomo.widgets.viewer_state import viewer_state_of

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent

    from napari_flomo.session import Event
    from napari_flomo.session.learning import FinetuneConfig, Learning, LearnState, TrainingRun

_ENDED = "ended training"
"""Kind of the message about the end of a training."""

REFRESH_MS = 150
"""A training reports every step; the panel is drawn a few times a second."""

CHECK_MS = 2500
"""Delay after the last accepted slice before the training package is asked if there are enough."""


class LearnPanel(Panel):
    """Fine-tune a model on the corrections.

    Scripts can set ``settings``: a YAML file with other hyperparameters.
    """

    name = "Learn"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer_state_of(napari_viewer))
        self.settings: str | None = None
        self._refresh_later = delayed(self, REFRESH_MS, self.refresh)
        self._count_later = delayed(self, REFRESH_MS, self.count)
        self._check_later = delayed(self, CHECK_MS, self._check)
        self._reported: TrainingRun | None = None  # whose end is in the message bar
        self._build()
        self._arrange()
        self.fill_bases()
        self.learning.subscribe(self._refresh_soon)
        self.viewer_state.session_changed.connect(self._on_event)
        self.viewer_state.models_changed.connect(lambda _name: self.fill_bases())
        self.count()

    @property
    def learning(self) -> Learning:
        """The state behind this panel."""
        return self.viewer_state.get_learning()

    @property
    def config(self) -> FinetuneConfig:
        """What is chosen on the panel."""
        device = self.viewer_state.preferences.device
        return replace(self.form(), device=device, settings=self.settings)

    @property
    def base(self) -> str:
        """Name of the model to fine-tune."""
        return str(self.form.base.value or "")

    # Contents

    def _build(self) -> None:
        preferences = self.viewer_state.preferences
        self.summary = note("Corrections in your store, and whether they are enough for a training")
        self.corrections = make_form(CorrectionOptions)
        self.corrections.update(
            reader=preferences.reader, keep_corrections=preferences.keep_corrections
        )
        self.corrections.reader.native.editingFinished.connect(self._on_corrections)
        self.corrections.keep_corrections.changed.connect(lambda _keep: self._on_corrections())
        self.form = make_finetune_form(self.learning.store)
        self.form.base.changed.connect(lambda _base: self._on_base())
        for name in ("replay", "reference"):
            self.form[name].value = getattr(preferences, name) or None
            on_folder_chosen(self.form, name, self._on_folder)
        self.train_button = button(
            "Train", "Fine-tune a copy of the model; the model itself is not changed", self.train
        )
        self.cancel_button = button(
            "Cancel", "Stop within a second; the training can be resumed", self.learning.cancel
        )
        self.progress = ProgressBar()
        self.curves = CurvePlot()
        self.gate = GateBox()
        self.promote_button = button(*messages.PROMOTE, self.promote)
        self.keep_button = button(*messages.KEEP_PARENT, self.keep_parent)
        self.rollback_button = button(*messages.ROLL_BACK, self.roll_back)

    def _arrange(self) -> None:
        buttons, decision = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.train_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        decision.addWidget(self.promote_button)
        decision.addWidget(self.keep_button)
        self.gate_group = QGroupBox("The gate")
        self.gate_group.setToolTip("The new model and the one in use, compared on the same images")
        inner = QVBoxLayout(self.gate_group)
        inner.addWidget(self.gate)
        inner.addLayout(decision)
        layout = QVBoxLayout()
        for widget in (self.summary, self.corrections.native, self.form.native):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        for widget in (
            self.progress,
            self.curves,
            self.gate_group,
            self.rollback_button,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.fill(layout)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Update the counts, which may have changed while the panel was hidden."""
        super().showEvent(event)
        self.viewer_state.board.solve(EARLIER_TRAINING)
        self.count()
        self._check_later.start()

    def fill_bases(self) -> None:
        """List the models on this computer and choose the one in use."""
        options = [
            (f"{one.name} ({one.state})" if one.state else one.name, one.name, one.summary)
            for one in list_models()
            if one.folder is not None
        ]
        set_choices(self.form.base, options)
        chosen = self.learning.base(self.viewer_state.preferences.base)
        if chosen in self.form.base.choices:
            with self.form.base.changed.blocked():
                self.form.base.value = chosen

    def count(self) -> None:
        """Count the available slices; reads a record for each correction."""
        self.learning.count(self.base)
        self.refresh()

    def _refresh_soon(self) -> None:
        # Not restarted by the next step: steps faster than the delay would postpone it for ever.
        if not self._refresh_later.isActive():
            self._refresh_later.start()

    def refresh(self) -> None:
        """Show the state of `Learning`."""
        training, state = self.learning.training, self.learning.state(self.base)
        self.summary.setText(state.summary)
        self.train_button.setEnabled(state.can_train)
        for widget in (self.progress, self.cancel_button):
            widget.setVisible(state.running)
        self.curves.setVisible(training is not None)
        if training is not None:
            self.progress.show_progress(state.progress)
            self.curves.show_points(training.points())
        self.gate_group.setVisible(state.gate is not None)
        if state.gate is not None:
            self.gate.show_summary(state.gate)
        self.promote_button.setEnabled(state.can_promote)
        self.rollback_button.setVisible(state.can_roll_back)
        if training is not None and training.state.final and training is not self._reported:
            self._reported = training
            self._count_later.start()
            self._report_end(state)

    def _report_end(self, state: LearnState) -> None:
        """Show how a training ended without a report of the gate."""
        if state.gate is not None:
            return
        choices: tuple[Choice, ...] = ()
        if state.can_resume:
            choices = (
                Choice("Resume", self.resume, "Resume from the last checkpoint"),
                Choice("Discard", self.discard, "Do not offer this training again"),
            )
        self.viewer_state.post(
            Message(
                state.outcome,
                state.level,
                state.details,
                choices,
                kind=_ENDED,
                until=Until.ANSWER if choices else Until.ACTION,
            )
        )

    # Actions

    def train(self) -> None:
        """Start a training."""
        self.viewer_state.board.acted()
        self._attempt(lambda: self.learning.train(self.config))
        if self.learning.running:
            self.viewer_state.board.solve(_ENDED)

    def resume(self) -> None:
        """Resume a training that stopped."""
        self._attempt(self.learning.resume)

    def discard(self) -> None:
        """Forget a training that stopped."""
        self._attempt(self.learning.discard)

    def promote(self) -> None:
        """Use the new model from now on."""
        self._switch(self.learning.promote, promoted_text)

    def roll_back(self) -> None:
        """Use the previous model again."""
        self._switch(lambda: self.learning.roll_back(self.base), messages.ROLLED_BACK.format)

    def keep_parent(self) -> None:
        """Keep using the old model."""

        def keep() -> None:
            text = messages.PARENT_KEPT.format(self.learning.keep_parent())
            self.viewer_state.post_message(text)

        self._attempt(keep)

    def _switch(self, action: Callable[[], str], text: Callable[[str], str]) -> None:
        def switch() -> None:
            model = action()
            self.viewer_state.use_model(model)
            self.viewer_state.post_message(text(model))

        self._attempt(switch)

    def _attempt(self, action: Callable[[], object]) -> None:
        self.attempt(action)
        self.count()

    def _on_corrections(self) -> None:
        preferences, chosen = self.viewer_state.preferences, self.corrections()
        preferences.keep_corrections = chosen.keep_corrections
        try:
            preferences.reader = chosen.reader.strip()
        except FlomoError as error:
            self.viewer_state.post_message(str(error), "warning")
            self.corrections.reader.value = preferences.reader

    def _on_folder(self) -> None:
        preferences, chosen = self.viewer_state.preferences, self.form()
        preferences.replay, preferences.reference = chosen.replay or "", chosen.reference or ""

    def _on_base(self) -> None:
        self.viewer_state.preferences.base = self.base
        self._check()
        self.count()

    def _check(self) -> None:
        """Ask the training package if there are enough corrections, while the panel is visible."""
        if self.isVisible() and self.base:
            self.learning.check(self.base)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CorrectionKept):
            self._count_later.start()
            self._check_later.start()
