"""The Learn section: what waits, train, what the gate says, use or keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import installer, parameters, progress_bar, versions
from FLoMoSegmentationLib.runner import make_worker
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import State
from napari_flomo.session import CorrectionKept, Event
from napari_flomo.session.learning import Learning

if TYPE_CHECKING:
    from FLoMoSegmentationLib.widget import Widget
    from napari_flomo.session.learning import Training


class LearnPanel:
    """A thin face of `Learning`, which napari uses, too.

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
        YAML file with other numbers than the package's; None takes those.
    """

    def __init__(self, ui: Any, host: Widget, learning: Learning | None = None) -> None:
        self.ui = ui
        self.host = host
        self.learning = learning or Learning(
            host.logic.pump.put, worker=make_worker, executable=versions.python_executable()
        )
        self._lacking: list[str] = []
        self.settings: str | None = None
        self._count = ""
        preferences = host.logic.preferences
        ui.replayFolder.setCurrentPath(preferences.replay)
        ui.referenceFolder.setCurrentPath(preferences.reference)
        ui.trainButton.connect("clicked(bool)", self.on_train)
        ui.resumeButton.connect("clicked(bool)", self.on_resume)
        ui.stopTrainingButton.connect("clicked(bool)", self.on_stop)
        ui.useButton.connect("clicked(bool)", self.on_use)
        ui.keepButton.connect("clicked(bool)", self.on_keep)
        ui.rollbackButton.connect("clicked(bool)", self.on_rollback)
        ui.installTrainingButton.connect("clicked(bool)", self.on_install)
        ui.learnBox.connect("toggled(bool)", self.on_opened)
        self.learning.subscribe(self.refresh)
        host.logic.session.subscribe(self.on_event)
        self.recount()

    @property
    def running(self) -> bool:
        """Whether a training is under way, or something is being counted."""
        return self.learning.running

    def refresh(self) -> None:
        """Show what is there now."""
        ui, training = self.ui, self.learning.training
        running, done = self.learning.running, training is not None and training.state is State.DONE
        ui.installTrainingButton.setVisible(bool(self._lacking))
        ui.trainButton.setEnabled(not running and not self._lacking)
        ui.stopTrainingButton.setVisible(running)
        ui.learnProgress.setVisible(running)
        stopped = training is not None and training.state in (State.FAILED, State.CANCELLED)
        ui.resumeButton.setVisible(stopped)
        for button in (ui.useButton, ui.keepButton):
            button.setVisible(done)
        ui.useButton.setEnabled(done and training is not None and _passed(training))
        ui.rollbackButton.setVisible(not running and self.learning.can_roll_back(self.base))
        readiness = self.learning.readiness
        ui.learnLine.setText(f"{self._count} {readiness.sentence if readiness else ''}".strip())
        ui.verdictLine.setText("" if training is None else self._verdict(training))
        if running and training is not None:
            progress_bar.show(ui.learnProgress, training.progress)
            self.host.hurry()

    def recount(self) -> None:
        """Look anew what waits and what is installed; both are read from the disk."""
        self._lacking = installer.missing(training=True)
        self.ui.installTrainingButton.setToolTip(installer.explain(self._lacking))
        try:
            self._count = self.learning.waiting(self.base).sentence
        except FlomoError as error:
            self._count = str(error)
        self.refresh()

    @property
    def base(self) -> str:
        """The model to teach: what stands for the chosen one now."""
        return self.learning.base(parameters.read(self.host.parameter_node()).model or None)

    # What the user does

    def on_opened(self, opened: bool) -> None:
        """Ask the training package whether there is enough, once the section is opened."""
        if opened and not self._lacking:
            self._attempt(lambda: self.learning.check(self.base))

    def on_train(self, _checked: bool = False) -> None:
        """Tune the model in use with what was accepted."""
        device = parameters.read(self.host.parameter_node()).device
        preferences = self.host.logic.preferences
        preferences.replay = str(self.ui.replayFolder.currentPath).strip()
        preferences.reference = str(self.ui.referenceFolder.currentPath).strip()
        self._attempt(
            lambda: self.learning.train(
                self.base,
                replay=preferences.replay or None,
                reference=preferences.reference or None,
                device=device,
                settings=self.settings,
            )
        )
        self.host.hurry()

    def on_resume(self, _checked: bool = False) -> None:
        """Go on where the training was cancelled or cut off."""
        self._attempt(self.learning.resume)

    def on_stop(self, _checked: bool = False) -> None:
        """Stop the training; the model stays as it is."""
        self.learning.cancel()

    def on_use(self, _checked: bool = False) -> None:
        """Segment with the new model from now on."""
        self._take(self._attempt(self.learning.use))

    def on_keep(self, _checked: bool = False) -> None:
        """Leave everything as it is."""
        self._attempt(self.learning.keep_old)

    def on_rollback(self, _checked: bool = False) -> None:
        """Take the last promotion back."""
        self._take(self._attempt(lambda: self.learning.roll_back(self.base)))

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
        """Listen no more; a training goes on and is found again at the next start."""
        self.learning.close()

    @staticmethod
    def _verdict(training: Training) -> str:
        if training.state is State.CANCELLED:
            return "Cancelled; it can go on where it was."
        if training.problem is not None:
            return training.problem.sentence
        if training.state is not State.DONE:
            return ""
        try:
            judgement = training.judgement()
        except FlomoError as error:
            return str(error)
        return " ".join((judgement.sentence, *judgement.reasons))

    def _take(self, name: str | None) -> None:
        """Choose another model for what is segmented from now on."""
        if name:
            parameters.change(self.host.parameter_node(), model=name)
            self.host.logic.preferences.model = name
            self.host.segment.fill_models()
            self.host.segment.refresh()
            self.recount()

    def _attempt(self, action: Callable[[], Any]) -> Any:
        try:
            result = action()
        except FlomoError as error:
            self.host.segment.say(str(error), "warning")
            return None
        self.refresh()
        return result


def _passed(training: Training) -> bool:
    """Tell whether the gate let the candidate pass; a report that cannot be read is a no."""
    try:
        return training.judgement().passed
    except FlomoError:
        return False
