"""The Learn section: available corrections, training, report of the gate, decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import installer, parameters, progress_bar, versions
from FLoMoSegmentationLib.runner import make_worker
from napari_flomo.errors import FlomoError
from napari_flomo.session import CorrectionKept, Event, messages
from napari_flomo.session.learning import FinetuneConfig, Learning

if TYPE_CHECKING:
    from FLoMoSegmentationLib.widget import Widget


class LearnPanel:
    """Shows the state of `Learning`, as the panel of napari does.

    Parameters
    ----------
    ui
        Widgets of ``Learn.ui`` by name.
    host
        The whole module.
    learning
        For tests; by default trainings run in PythonSlicer.

    Attributes
    ----------
    settings
        YAML file with hyperparameters that differ from those of the training package; for scripts.
    """

    def __init__(self, ui: Any, host: Widget, learning: Learning | None = None) -> None:
        self.ui = ui
        self.host = host
        self.learning = learning or Learning(
            host.logic.queue.put,
            worker=make_worker,
            executable=versions.python_executable(),
            obstacle=_obstacle,
        )
        self.settings: str | None = None
        preferences = host.logic.preferences
        ui.replayFolder.setCurrentPath(preferences.replay)
        ui.referenceFolder.setCurrentPath(preferences.reference)
        ui.trainButton.connect("clicked(bool)", self.on_train)
        ui.resumeButton.connect("clicked(bool)", self.on_resume)
        ui.stopTrainingButton.connect("clicked(bool)", self.on_stop)
        ui.useButton.connect("clicked(bool)", self.on_promote)
        ui.keepButton.connect("clicked(bool)", self.on_keep)
        ui.rollbackButton.connect("clicked(bool)", self.on_rollback)
        ui.installTrainingButton.connect("clicked(bool)", self.on_install)
        ui.learnBox.connect("toggled(bool)", self.on_opened)
        self.learning.subscribe(self.refresh)
        host.logic.session.subscribe(self.on_event)
        self.recount()

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self.learning.running

    @property
    def base(self) -> str:
        """The model to fine-tune: what is in use for the chosen model."""
        return self.learning.base(parameters.read(self.host.parameter_node()).model or None)

    def refresh(self) -> None:
        """Show the state of `Learning`."""
        ui, state = self.ui, self.learning.state(self.base)
        ui.learnLine.setText(state.summary)
        ui.verdictLine.setText(state.outcome)
        ui.installTrainingButton.setVisible(self.learning.obstacle is not None)
        ui.trainButton.setEnabled(state.can_train)
        ui.stopTrainingButton.setVisible(state.running)
        ui.learnProgress.setVisible(state.running)
        ui.resumeButton.setVisible(state.can_resume)
        for button in (ui.useButton, ui.keepButton):
            button.setVisible(state.can_decide)
        ui.useButton.setEnabled(state.can_promote)
        ui.rollbackButton.setVisible(state.can_roll_back)
        if state.running:
            progress_bar.show(ui.learnProgress, state.progress)
            self.host.hurry()

    def recount(self) -> None:
        """Look again at what is available and installed."""
        self.learning.count(self.base)
        missing = installer.missing(training=True)
        self.ui.installTrainingButton.setToolTip(installer.explain(missing))
        self.refresh()

    # What the user does

    def on_opened(self, opened: bool) -> None:
        """Ask the training package if there are enough corrections, once the section is opened."""
        if opened:
            self._attempt(lambda: self.learning.check(self.base))

    def on_train(self, _checked: bool = False) -> None:
        """Fine-tune the model in use on the accepted slices."""
        preferences = self.host.logic.preferences
        preferences.replay = str(self.ui.replayFolder.currentPath).strip()
        preferences.reference = str(self.ui.referenceFolder.currentPath).strip()
        config = FinetuneConfig(
            base=self.base,
            store=self.learning.store,
            replay=preferences.replay,
            reference=preferences.reference,
            device=parameters.read(self.host.parameter_node()).device,
            settings=self.settings,
        )
        self._attempt(lambda: self.learning.train(config))
        self.host.hurry()

    def on_resume(self, _checked: bool = False) -> None:
        """Resume a training that was cancelled or interrupted."""
        self._attempt(self.learning.resume)

    def on_stop(self, _checked: bool = False) -> None:
        """Stop the training; the model is not changed."""
        self.learning.cancel()

    def on_promote(self, _checked: bool = False) -> None:
        """Use the new model from now on."""
        self._switch(self.learning.promote, messages.PROMOTED.format)

    def on_rollback(self, _checked: bool = False) -> None:
        """Undo the last promotion."""
        self._switch(lambda: self.learning.roll_back(self.base), messages.ROLLED_BACK.format)

    def on_keep(self, _checked: bool = False) -> None:
        """Keep using the old model."""
        self._attempt(
            lambda: self.host.segment.say(messages.PARENT_KEPT.format(self.learning.keep_parent()))
        )

    def on_install(self, _checked: bool = False) -> None:
        """Install what only training needs."""
        try:
            installer.install(self.host.install.folder, training=True)
        except installer.InstallFailed as error:
            self.host.segment.say(str(error), "error")
        self.recount()

    def on_event(self, event: Event) -> None:
        """Count again when a correction was kept."""
        if isinstance(event, CorrectionKept) and event.problem is None:
            self.recount()

    def close(self) -> None:
        """Stop following; a training goes on and is found again at the next start."""
        self.learning.close()

    def _switch(self, action: Callable[[], str], text: Callable[[str], str]) -> None:
        """Change the model that is used for segmentation."""
        model = self._attempt(action)
        if model:
            parameters.change(self.host.parameter_node(), model=model)
            self.host.logic.preferences.model = model
            self.host.segment.fill_models()
            self.host.segment.refresh()
            self.host.segment.say(text(model))
            self.recount()

    def _attempt(self, action: Callable[[], Any]) -> Any:
        try:
            result = action()
        except FlomoError as error:
            self.host.segment.say(str(error), "warning")
            return None
        self.refresh()
        return result


def _obstacle() -> str | None:
    """Return why no training can be started, or None."""
    if installer.missing(training=True):
        return "Training needs more packages; install them with the button below."
    return None
