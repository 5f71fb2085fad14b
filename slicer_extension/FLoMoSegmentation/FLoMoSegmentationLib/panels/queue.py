"""Which slices the Review section lists, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import qt

from FLoMoSegmentationLib.panels.base import Panel
from napari_flomo.session import COLUMNS, QueueFilter, cine_messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from napari_flomo.session import OpenImage


class QueuePanel(Panel):
    """Chooses frames, states and structure of the list; a click on a column title sorts it."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.boxes: dict[str, Any] = {
            "frames": ui.framesBox,
            "states": ui.statesBox,
            "structure": ui.structureBox,
        }
        self._values: dict[str, list[Any]] = {name: [] for name in self.boxes}
        for name, box in self.boxes.items():
            box.connect("activated(int)", partial(self.on_choice, name))
        ui.reviewTable.horizontalHeader().connect("sectionClicked(int)", self.on_column)

    def refresh(self) -> None:
        """Show the choices of the chosen image."""
        current = self.host.current
        image = None if current is None else self.host.logic.session.image(current.key)
        queue = QueueFilter() if image is None else image.queue
        entries = _entries(image)
        for name, box in self.boxes.items():
            values = [value for _title, value in entries[name]]
            if values != self._values[name]:
                box.clear()
                for title, _value in entries[name]:
                    box.addItem(title)
                self._values[name] = values
            value = getattr(queue, name)
            box.setCurrentIndex(values.index(value) if value in values else -1)
            box.setVisible(len(values) > 1)
        self.show_order(queue)

    def show_order(self, queue: QueueFilter) -> None:
        """Show by which column the list is sorted."""
        header = self.ui.reviewTable.horizontalHeader()
        header.setSortIndicatorShown(queue.sort is not None)
        if queue.sort is not None:
            order = qt.Qt.DescendingOrder if queue.descending else qt.Qt.AscendingOrder
            header.setSortIndicator(COLUMNS.index(queue.sort), order)

    def on_choice(self, name: str, row: int) -> None:
        """List other slices."""
        self._set(lambda queue: replace(queue, **{name: self._values[name][row]}))

    def on_column(self, column: int) -> None:
        """Sort the list by a column, the other way round, or not at all."""
        self._set(lambda queue: queue.sorted_by(COLUMNS[column]))

    def _set(self, change: Callable[[QueueFilter], QueueFilter]) -> None:
        current, session = self.host.current, self.host.logic.session
        if current is not None:
            session.set_queue(current.key, change(session.image(current.key).queue))


def _entries(image: OpenImage | None) -> dict[str, list[tuple[str, Any]]]:
    """Return titles and values of the choices; an image without frames has none of frames."""
    if image is None or image.segmentation is None:
        return {"frames": [], "states": [], "structure": []}
    labels = image.segmentation.card.labels[1:]
    return {
        "frames": list(cine_messages.QUEUE_FRAMES) if image.volume.n_frames > 1 else [],
        "states": list(cine_messages.QUEUE_STATES),
        "structure": [
            (cine_messages.ANY_STRUCTURE, None),
            *((label.name, label.code) for label in labels),
        ],
    }
