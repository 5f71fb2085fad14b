"""The interface of an engine, and its errors."""

from __future__ import annotations

from typing import Protocol

from napari_flomo.segmentation.engines.registry import EngineKind
from napari_flomo.segmentation.output import Output
from napari_flomo.segmentation.resampling import Floats


class EngineError(Exception):
    """An engine cannot run or is wrong; another one must be used."""


class Engine(Protocol):
    """Runs one network on images of one size."""

    @property
    def kind(self) -> EngineKind:
        """Description of the engine."""

    @property
    def batch(self) -> int | None:
        """Preferred number of slices per call; None leaves it to the caller."""

    @property
    def threads(self) -> int:
        """Number of threads."""

    def __call__(self, images: Floats, *, maps: bool = False) -> Output:
        """Return the logits of a batch of slices.

        ``images`` are ``(slices, channels, rows, columns)``, float32. ``maps`` asks for the
        network's own maps, too, and requires ``kind.maps``.
        """
