"""Protect locked labels from napari's painting tools.

napari has no public hook for this: its own "preserve labels" protects all labels at once. Brush,
bucket and polygon use one private method of the layer, so the mask is cut there, and the undo
history holds what was really painted. If a version of napari lacks that method, `LabelWatcher`
restores the voxels when the button is released, as it does after any other change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_flomo.widgets.delayed import delayed

if TYPE_CHECKING:
    from napari.layers import Labels

_INNER = "_apply_mask_to_data"
REPORT_MS = 150
"""A drag is refused dozens of times; it is reported once, when the mouse rests."""


class LockGuard(QObject):
    """Keeps locked labels from being painted on.

    ``locked`` returns their codes; ``refused`` is called with those that were painted over or with.
    """

    def __init__(
        self,
        layer: Labels,
        locked: Callable[[], frozenset[int]],
        refused: Callable[[frozenset[int]], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._layer = layer
        self._locked = locked
        self._refused = refused
        self._codes: set[int] = set()
        self._rested = delayed(self, REPORT_MS, self._report)
        self._inner = getattr(layer, _INNER, None)
        if self._inner is not None:
            setattr(layer, _INNER, self._paint)

    def close(self) -> None:
        """Stop protecting."""
        self._rested.stop()
        if self._inner is not None:
            delattr(self._layer, _INNER)  # the class has its own
            self._inner = None

    def _paint(
        self, data: NDArray[Any], mask: NDArray[np.bool_], new_label: int, *rest: Any
    ) -> Any:
        """Paint what is not locked; ``data`` is the region and ``mask`` where the brush is."""
        assert self._inner is not None
        locked = self._locked()
        if locked:
            mask = np.asarray(mask) & (data != new_label)
            hit = {int(code) for code in np.unique(data[mask])} & locked
            if new_label in locked and mask.any():
                hit.add(int(new_label))
                mask = np.zeros_like(mask)
            elif hit:
                mask &= ~np.isin(data, sorted(hit))
            if hit:
                self._codes |= hit
                self._rested.start()
        return self._inner(data, mask, new_label, *rest)

    def _report(self) -> None:
        codes, self._codes = frozenset(self._codes), set()
        self._refused(codes)
