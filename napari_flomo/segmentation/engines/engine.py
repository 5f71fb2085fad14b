"""The interface of an engine, and what may go wrong in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_flomo.segmentation.engines.registry import EngineKind

if TYPE_CHECKING:
    from torch import Tensor

    from napari_flomo.networks import Output


class EngineFault(Exception):
    """An engine cannot do what it should; another one has to."""


class Engine(Protocol):
    """Runs one network on images of one size."""

    @property
    def kind(self) -> EngineKind:
        """Which one it is."""

    @property
    def batch(self) -> int | None:
        """Slices that it likes to be given together; None leaves it to the caller."""

    @property
    def threads(self) -> int:
        """Threads that it computes with."""

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Return the logits of some slices, in float32.

        Parameters
        ----------
        images
            ``(slices, channels, rows, columns)``, float32, on the engine's device.
        maps
            Whether the network's own maps are wanted, too; only if ``kind.maps``.
        """


def out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory from other failures, whichever library says so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in text
        for sign in (
            "can't allocate memory",
            "not enough memory",
            "out of memory",
            "bad_alloc",
            "failed to allocate",
        )
    )
