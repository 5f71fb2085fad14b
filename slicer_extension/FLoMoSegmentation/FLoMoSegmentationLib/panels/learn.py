"""The Learn section: accepted slices, training, gate report, and the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import compat, installer, parameters, progress_bar
from FLoMoSegmentationLib.panels.base import Panel
from FLoMoSegmentationLib.worker_process import make_worker
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    CorrectionKept,
    Event,
    messages,
    model_to_use,
    promoted_text,
)
from napari_flomo.session.learning import FinetuneConfig, Learning

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from FLoMoSegmentationLib.panels.install import InstallPanel
    from FLoMoSegmentationLib.panels.segment import SegmentPanel


class LearnPanel(Panel):
    """Shows the state of `Learning`, like the panel of napari.

    Parameters
    ----------
    ui, host
        As in `Panel`.
    segment
        Lists the models; updated when another one is used.
    install
        Has the folder of wheels.

    Attributes
    ----------
    settings
        YAML file with other hyperparameters than the defaults; for scripts.
    """

    def __init__(
        self, ui: Any, host: PanelHost, segment: SegmentPanel, install: InstallPanel
    ) -> None:
        super().__init__(ui, host)
        self._segment = segment
        self._install = install
        self.learning = Learning(
            host.logic.queue.put,
            worker=make_worker,
            executable=compat.python_executable(),
            obstacle=_obstacle,
        )
        self.settings: str | None = None
        preferences = host.logic.preferences
        ui.readerEdit.setText(preferences.reader)
        ui.readerEdit.setToolTip(messages.ALIAS_TIP)
        ui.readerEdit.connect("editingFinished()", self.on_alias)
        ui.replayFolder.setCurrentPath(preferences.replay)
        ui.referenceFolder.setCurrentPath(preferences.reference)
        for button, (title, tip) in (
            (ui.useButton, messages.PROMOTE),
            (ui.keepButton, messages.KEEP_PARENT),
            (ui.rollbackButton, messages.ROLL_BACK),
        ):
            button.setText(title)
            button.setToolTip(tip)
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
        self.update_counts()

    @property
    def base(self) -> str:
        """The model to fine-tune: the one in use for the chosen model."""
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
            self.host.poll_often()

    def update_counts(self) -> None:
        """Count the accepted slices and the missing packages."""
        self.learning.count(self.base)
        missing = installer.missing(training=True)
        self.ui.installTrainingButton.setToolTip(installer.describe_download(missing))
        self.refresh()

    # Actions of the user

    def on_opened(self, opened: bool) -> None:
        """Check whether there are enough corrections when the section is opened."""
        if opened:
            self._change(lambda: self.learning.check(self.base))

    def on_alias(self) -> None:
        """Use another alias for the corrections that are stored from now on."""
        preferences = self.host.logic.preferences
        try:
            preferences.reader = str(self.ui.readerEdit.text).strip()
        except FlomoError as error:
            self.host.say(str(error), "error")
        self.ui.readerEdit.setText(preferences.reader)

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
        self._change(lambda: self.learning.train(config))
        self.host.poll_often()

    def on_resume(self, _checked: bool = False) -> None:
        """Resume a training that was cancelled or interrupted."""
        self._change(self.learning.resume)

    def on_stop(self, _checked: bool = False) -> None:
        """Stop the training; the model is not changed."""
        self.learning.cancel()

    def on_promote(self, _checked: bool = False) -> None:
        """Use the new model from now on."""
        self._switch(self.learning.promote, promoted_text)

    def on_rollback(self, _checked: bool = False) -> None:
        """Undo the last promotion."""
        self._switch(lambda: self.learning.roll_back(self.base), messages.ROLLED_BACK.format)

    def on_keep(self, _checked: bool = False) -> None:
        """Continue to use the old model."""
        self._change(
            lambda: self.host.say(messages.PARENT_KEPT.format(self.learning.keep_parent()))
        )

    def on_install(self, _checked: bool = False) -> None:
        """Install the packages that only training needs."""
        try:
            installer.install(self._install.folder, training=True)
        except installer.InstallError as error:
            self.host.say(str(error), "error")
        self.update_counts()

    def on_event(self, event: Event) -> None:
        """Update the counts when a correction was stored."""
        if isinstance(event, CorrectionKept) and event.problem is None:
            self.update_counts()

    def close(self) -> None:
        """Stop following a training; it continues and is found at the next start."""
        self.learning.close()

    def _switch(self, action: Callable[[], str], text: Callable[[str], str]) -> None:
        """Change the model that is used for segmentation."""
        model = self._change(action)
        if model:
            used = model_to_use(model)
            parameters.change(self.host.parameter_node(), model=used)
            self.host.logic.preferences.model = used
            self._segment.fill_models()
            self._segment.refresh()
            self.host.say(text(model))
            self.update_counts()

    def _change(self, action: Callable[[], Any]) -> Any:
        """Attempt an action and show the new state."""
        result = self.attempt(action)
        self.refresh()
        return result


def _obstacle() -> str | None:
    """Return why no training can be started, or None."""
    if installer.missing(training=True):
        return "Training needs more packages; install them with the button below."
    return None
