"""Know which step of a session a labels layer shows, through undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels


class UndoSteps:
    """Counts the entries of a layer's undo history, and which of them began a step.

    napari has no event for undo and redo, so these two methods of the layer are wrapped, and each
    undo is handled alone, however quickly they follow each other.

    Parameters
    ----------
    layer
        A new layer, whose history is empty.
    step
        The step that it shows, see `OpenImage.steps`.
    before, after
        Called before and after each undo and redo.
    """

    def __init__(
        self,
        layer: Labels,
        step: str,
        before: Callable[[], object],
        after: Callable[[], object],
    ) -> None:
        self._layer = layer
        self._before = before
        self._after = after
        self._done, self._undone = 0, 0  # entries that undo and redo lead over
        self._steps = {0: step}  # by the number of entries from which on it is shown
        self._limit = getattr(layer, "_history_limit", 100)
        for name, by in (("undo", -1), ("redo", 1)):
            setattr(layer, name, self._wrapped(getattr(layer, name), by))
        layer.events.paint.connect(self._on_entry)
        layer.events.editable.connect(self._on_editable)

    def close(self) -> None:
        """Stop counting."""
        self._layer.events.paint.disconnect(self._on_entry)
        self._layer.events.editable.disconnect(self._on_editable)
        for name in ("undo", "redo"):
            delattr(self._layer, name)  # the class has its own

    @property
    def current(self) -> str:
        """The step that the layer shows."""
        return self._steps[max(count for count in self._steps if count <= self._done)]

    def add(self, step: str) -> None:
        """Note that the program added an entry, which began a step."""
        self._on_entry()
        self._steps[self._done] = step

    def _on_entry(self, _event: Any = None) -> None:
        self._done, self._undone = self._done + 1, 0
        self._steps = {count: step for count, step in self._steps.items() if count < self._done}
        if self._done > self._limit:  # napari forgets the oldest entry
            self._move(-1)

    def _on_editable(self, _event: Any = None) -> None:
        if not self._layer.editable:  # napari clears the history
            self._move(-self._done)
            self._undone = 0

    def _move(self, by: int) -> None:
        """Renumber all entries; those that come to lie before 0 cannot be reached again."""
        self._done += by
        self._steps = {max(count + by, 0): step for count, step in sorted(self._steps.items())}

    def _wrapped(self, original: Callable[[], None], by: int) -> Callable[[], None]:
        def move() -> None:
            self._before()
            original()
            if self._done if by < 0 else self._undone:
                self._done, self._undone = self._done + by, self._undone - by
                self._after()

        return move
