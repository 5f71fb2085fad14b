"""Tools that edit labels: smooth, grow, shrink, remove islands, fill between slices."""

from __future__ import annotations

from napari_flomo.label_tools.interpolation import fill_between
from napari_flomo.label_tools.shape import grow, remove_islands, smooth

__all__ = ["fill_between", "grow", "remove_islands", "smooth"]
