"""Find changes of a labels layer by comparing it with a copy.

napari emits an event after a stroke, but none after an undo, and its history is private. Comparing
finds every change (brush, bucket, polygon, undo, another plugin), and a locked label gets its
voxels back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_flomo.widgets.delayed import delayed
from napari_flomo.widgets.undo_steps import UndoSteps

if TYPE_CHECKING:
    from napari.layers import Labels

ChangeKind = Literal["stroke", "undo"]
Region = tuple[slice, ...]

SETTLE_MS = 60
"""Undo, redo and other plugins only redraw; the comparison waits until that has settled."""


@dataclass(frozen=True, eq=False)
class LabelChange:
    """Voxels whose labels changed.

    Attributes
    ----------
    kind
        ``"stroke"`` for paint, ``"undo"`` for any other change.
    indices
        Flat indices in C order into the labels, ascending.
    old, new
        Labels before and after.
    refused
        Codes of locked labels that were painted over or with, and got their voxels back.
    step
        Where an undo or redo led to another step of `OpenImage.steps`: its name.
    """

    kind: ChangeKind
    indices: NDArray[np.int64]
    old: NDArray[np.integer]
    new: NDArray[np.integer]
    refused: frozenset[int] = frozenset()
    step: str = ""

    def __bool__(self) -> bool:
        return self.indices.size > 0 or bool(self.step)


class LabelWatcher(QObject):
    """Watches the voxels of a labels layer whose data is an array in memory.

    Parameters
    ----------
    layer
        The labels.
    changed
        Called with every `LabelChange`, also with an empty one if all of a stroke was refused.
    locked
        Returns the codes of locked labels.
    shown
        Returns the region of the data that is on the screen.
    before
        The data to compare with first, which is kept; by default a copy of the present data.
    step
        The step of the session that the layer shows first.

    Attributes
    ----------
    steps
        Knows the step that the layer shows now.
    """

    def __init__(
        self,
        layer: Labels,
        changed: Callable[[LabelChange], None],
        locked: Callable[[], frozenset[int]],
        shown: Callable[[], Region],
        *,
        before: NDArray[np.integer] | None = None,
        parent: QObject | None = None,
        step: str = "",
    ) -> None:
        super().__init__(parent)
        self.layer = layer
        self._changed = changed
        self._locked = locked
        self._shown = shown
        self._before = np.array(layer.data) if before is None else before
        self._kind: ChangeKind = "undo"
        self._region = shown()
        self._everywhere = False  # whether something else than a move was drawn
        self._settled = delayed(self, SETTLE_MS, self._on_settled)
        self.steps = UndoSteps(layer, step, before=self.settle, after=self.compare)
        self._step = step
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_drawn)

    def close(self) -> None:
        """Stop watching."""
        self._settled.stop()
        self.steps.close()
        self.layer.events.paint.disconnect(self._on_paint)
        self.layer.events.set_data.disconnect(self._on_drawn)

    def rebase(self, before: NDArray[np.integer] | None = None) -> None:
        """Compare with the current labels from now on, after the program itself replaced them.

        ``before`` is an equal copy of them, if there is one.
        """
        self._settled.stop()
        self._before = np.array(self.layer.data) if before is None else before
        self._step = self.steps.current

    def settle(self) -> None:
        """Compare now if something was drawn since the last comparison."""
        if self._settled.isActive():
            self._settled.stop()
            self._on_settled()

    def compare(self, kind: ChangeKind = "undo", region: Region | None = None) -> bool:
        """Compare now, everywhere or in a region; return True if there are changes."""
        self._settled.stop()
        data, before = self.layer.data, self._before
        if data.shape != before.shape:
            return False  # the array was replaced; the owner of the layer handles that
        step, self._step = self._step, self.steps.current
        step = "" if step == self._step else self._step
        box = region or tuple(slice(0, length) for length in data.shape)
        if not step and np.array_equal(data[box], before[box]):
            return False
        inside = np.nonzero(data[box] != before[box])
        where = tuple(
            axis + part.indices(length)[0]
            for axis, part, length in zip(inside, box, data.shape, strict=True)
        )
        old, new = before[where], data[where]
        refused: frozenset[int] = frozenset()
        locked = sorted(self._locked())
        if locked:
            bad = np.isin(old, locked) | np.isin(new, locked)
            if bad.any():
                refused = frozenset(map(int, {*old[bad], *new[bad]} & set(locked)))
                data[tuple(axis[bad] for axis in where)] = old[bad]
                where = tuple(axis[~bad] for axis in where)
                old, new = old[~bad], new[~bad]
                with self.layer.events.set_data.blocker(self._on_drawn):
                    self.layer.refresh()
        before[where] = new
        indices = np.ravel_multi_index(where, data.shape)
        self._changed(LabelChange(kind, indices, old, new, refused, step))
        return True

    def _on_paint(self, event: Any) -> None:
        # The bucket and the polygon emit the event before they write, the brush after it.
        if not self.compare("stroke", _region(event.value, self.layer.data.shape)):
            self._kind = "stroke"
            self._settled.start()

    def _on_settled(self) -> None:
        kind, self._kind = self._kind, "undo"
        everywhere, self._everywhere = self._everywhere, False
        if everywhere or kind == "stroke" or self._differs(self._region):
            self.compare(kind)

    def _on_drawn(self, _event: Any = None) -> None:
        """Compare soon; after a move first what is shown now, as a long cine takes a while."""
        before, self._region = self._region, self._shown()
        self._everywhere = self._everywhere or before == self._region
        self._settled.start()

    def _differs(self, region: Region) -> bool:
        data, before = self.layer.data, self._before
        return data.shape == before.shape and not np.array_equal(data[region], before[region])


def _region(atoms: Iterable[Any], shape: tuple[int, ...]) -> Region | None:
    """Return a box around what a stroke touched; None (everywhere) if its format is unknown."""
    low, high = np.array(shape), np.zeros(len(shape), int)
    for atom in atoms:
        key = getattr(atom, "slice_key", None)
        if key is None and isinstance(atom, tuple) and len(atom) == 3:
            key = atom[0]  # indices of voxels, one array for each axis
        if not isinstance(key, tuple) or len(key) != len(shape):
            return None
        for axis, part in enumerate(key):
            if isinstance(part, slice):
                start, stop, _step = part.indices(shape[axis])
            else:
                values = np.asarray(part)
                if values.size == 0 or values.dtype.kind not in "iu":
                    return None
                start, stop = int(values.min()), int(values.max()) + 1
            low[axis], high[axis] = min(low[axis], start), max(high[axis], stop)
    if (low >= high).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
