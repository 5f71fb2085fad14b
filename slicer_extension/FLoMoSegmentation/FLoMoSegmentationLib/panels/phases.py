"""End diastole and end systole in the Cine section: go there, and set them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib.panels.base import Panel
from napari_flomo.measures import PHASES, HeartPhases, Phase
from napari_flomo.session import cine_messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost


class PhasePanel(Panel):
    """Goes to the phases of the chosen cine, and sets them to the frame on the screen."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.buttons: dict[Phase, Any] = {"ED": ui.diastoleButton, "ES": ui.systoleButton}
        ui.diastoleButton.connect("clicked(bool)", lambda _checked: self.on_go_to("ED"))
        ui.systoleButton.connect("clicked(bool)", lambda _checked: self.on_go_to("ES"))
        box = ui.phaseBox
        box.setToolTip(cine_messages.SET_PHASE[1])
        box.addItem(f"{cine_messages.SET_PHASE[0]}…")
        for title, _phase, _sides in cine_messages.PHASE_CHOICES:
            box.addItem(title)
        box.addItem(cine_messages.AUTOMATIC_PHASES[0])
        box.connect("activated(int)", self.on_set)

    def refresh(self) -> None:
        """Show the phases of the chosen image."""
        current = self.host.current
        image = None if current is None else self.host.logic.session.image(current.key)
        phases = HeartPhases() if image is None else image.phases
        for phase in PHASES:
            button = self.buttons[phase]
            button.setText(cine_messages.phase_title(phase, phases))
            button.setToolTip(cine_messages.phase_tip(phase, phases))
            button.setEnabled(phases.left.frame(phase) is not None)

    def on_go_to(self, phase: Phase) -> None:
        """Show the frame of a phase."""
        self._attempt(lambda key: self.host.logic.presenter.go_to_phase(key, phase))

    def on_set(self, row: int) -> None:
        """Set a phase to the frame on the screen, or choose all automatically."""
        self.ui.phaseBox.setCurrentIndex(0)
        presenter, choices = self.host.logic.presenter, cine_messages.PHASE_CHOICES
        if 1 <= row <= len(choices):
            _title, phase, sides = choices[row - 1]
            self._attempt(lambda key: presenter.pin_phase(key, phase, sides))
        elif row > len(choices):
            self._attempt(presenter.automatic_phases)

    def _attempt(self, action: Callable[[str | None], object]) -> None:
        current = self.host.current
        self.attempt(lambda: action(None if current is None else current.key))
