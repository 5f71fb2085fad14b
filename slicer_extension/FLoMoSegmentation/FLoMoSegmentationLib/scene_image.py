"""An image of the scene that is open in the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer
import vtk

from FLoMoSegmentationLib.images import Source
from FLoMoSegmentationLib.record import Record

Watch = tuple[Any, int]

_STROKES = (
    "SourceRepresentationModified",
    "RepresentationModified",
    "SegmentModified",
    "SegmentAdded",
    "SegmentRemoved",
)
"""Events of a segmentation after which its voxels may be others; an undo has its own."""


@dataclass(eq=False)
class SceneImage:
    """An image of the scene that is open in the session.

    Attributes
    ----------
    key
        Of the image in the session.
    source
        Its node, or nodes.
    state
        Tells whether the voxels are still those that the session has, see `Source.state`.
    record
        Its results in the scene; None before the first run.
    painted
        Frames that were on the screen when something was done to the segments since they were last
        read; they may have been painted on.
    restoring
        Whether its results are being read from the scene, and must not be written there.
    """

    key: str
    source: Source
    state: tuple[Any, ...]
    record: Record | None = None
    painted: set[int] = field(default_factory=set)
    restoring: bool = False
    watches: list[Watch] = field(default_factory=list)
    watched: Any = None

    def watch(self) -> None:
        """Observe changes of the segmentation node."""
        node = None if self.record is None else self.record.segmentation
        if node is self.watched:
            return
        self.unwatch()
        self.watched = node
        if node is None:
            return

        def changed(_node: Any, _event: str) -> None:
            self.painted.add(self.source.frame)

        for event in _STROKES:
            number = getattr(slicer.vtkSegmentation, event)
            self.watches.append((node, node.AddObserver(number, changed)))

    def unwatch(self) -> None:
        """Stop observing."""
        for node, tag in self.watches:
            node.RemoveObserver(tag)
        self.watches.clear()
        self.watched = None


class SceneWatch:
    """Calls functions when a node is removed and when the scene is closed or loaded.

    Parameters
    ----------
    scene
        The MRML scene.
    removed
        Called with a node that is about to go.
    closing, loaded
        Called before a scene is closed, and after one was loaded.
    """

    def __init__(
        self,
        scene: Any,
        removed: Callable[[Any], None],
        closing: Callable[[], None],
        loaded: Callable[[], None],
    ) -> None:
        self._scene = scene

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_removed(_scene: Any, _event: str, node: Any) -> None:
            if not scene.IsClosing():
                removed(node)

        kind = slicer.vtkMRMLScene
        self._tags = [
            scene.AddObserver(kind.NodeAboutToBeRemovedEvent, on_removed),
            scene.AddObserver(kind.StartCloseEvent, lambda *_: closing()),
            scene.AddObserver(kind.EndImportEvent, lambda *_: loaded()),
        ]

    def end(self) -> None:
        """Stop observing."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags.clear()
