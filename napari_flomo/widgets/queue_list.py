"""The runs that wait for the one in progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_flomo.session import RunEvent, RunProgressed, messages

if TYPE_CHECKING:
    from napari_flomo.session import Event
    from napari_flomo.widgets.viewer_state import ViewerState


def _call(action: Callable[[], None], _checked: bool = False) -> None:
    action()


class QueueList(QWidget):
    """A row for each waiting run: its place, and a button that cancels it."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        self.rows: list[tuple[QLabel, QPushButton]] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        viewer_state.session_changed.connect(self._on_event)
        viewer_state.computing_changed.connect(self.refresh)
        viewer_state.current_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what waits now."""
        waiting = list(self._waiting())
        while len(self.rows) > len(waiting):
            for widget in self.rows.pop():
                widget.hide()
                widget.deleteLater()
        for number, (text, cancel) in enumerate(waiting):
            if number == len(self.rows):
                self._add_row()
            label, button = self.rows[number]
            label.setText(text)
            button.clicked.disconnect()
            button.clicked.connect(partial(_call, cancel))
            button.setAccessibleName(f"Cancel {text}")
        self.setVisible(bool(waiting))

    def _waiting(self) -> Iterator[tuple[str, Callable[[], None]]]:
        state = self._viewer_state
        for before, run in enumerate(state.session.runs):
            if run is not state.session.running:
                image = None if run.key is None else state.session.image(run.key).name
                name = messages.run_name(run, image)
                yield messages.waiting_text(name, before), run.cancel
        computing = state.lazy.computing
        if computing is not None and state.session.running is not None:
            yield f"{computing.entry.image.name}: being computed", computing.cancel
        for before, entry in enumerate(state.lazy.waiting, 1):
            text = messages.waiting_text(entry.image.name, before)
            yield text, partial(state.lazy.drop, entry)

    def _add_row(self) -> None:
        label, button = QLabel(), QPushButton("Cancel")
        label.setWordWrap(True)
        button.setToolTip("Do not start this; what is under way goes on")
        button.clicked.connect(self.refresh)
        row = QHBoxLayout()
        row.addWidget(label, 1)
        row.addWidget(button)
        self._layout.addLayout(row)
        self.rows.append((label, button))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunEvent) and not isinstance(event, RunProgressed):
            self.refresh()
