"""An image of the scene that is open in the session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import slicer

from FLoMoSegmentationLib.images import ImageNodes
from FLoMoSegmentationLib.result_nodes import ResultNodes
from FLoMoSegmentationLib.segment_nodes import step_of

_EDIT_EVENTS = (
    "SourceRepresentationModified",
    "RepresentationModified",
    "SegmentModified",
    "SegmentAdded",
    "SegmentRemoved",
)
"""Events of `vtkSegmentation` that painting and its undo invoke."""


@dataclass(eq=False)
class SceneImage:
    """An image of the scene that is open in the session.

    Attributes
    ----------
    key
        Key of the image in the session.
    nodes
        Its MRML nodes.
    fingerprint
        `ImageNodes.fingerprint` of the voxels in the session.
    results
        Its results in the scene; None before the first run.
    painted_frames
        Frames that may have been painted on since they were last read.
    restoring
        Whether results are being read from the scene, and must not be written to it.
    """

    key: str
    nodes: ImageNodes
    fingerprint: tuple[Any, ...]
    results: ResultNodes | None = None
    painted_frames: set[int] = field(default_factory=set)
    restoring: bool = False
    _observed: Any = None
    _tags: list[int] = field(default_factory=list)

    @property
    def segmentation(self) -> Any:
        """The segmentation node; None if there is none."""
        return None if self.results is None else self.results.segmentation

    def shows(self, step: str) -> bool:
        """Return True if the segments show a step of the session."""
        return self.segmentation is not None and step_of(self.segmentation) == step

    def observe(self) -> None:
        """Observe changes of the segmentation node."""
        node = self.segmentation
        if node is self._observed:
            return
        self.remove_observers()
        self._observed = node
        if node is not None:
            self._tags = [
                node.AddObserver(
                    getattr(slicer.vtkSegmentation, event),
                    lambda *_: self.painted_frames.add(self.nodes.frame),
                )
                for event in _EDIT_EVENTS
            ]

    def remove_observers(self) -> None:
        """Stop observing."""
        for tag in self._tags:
            self._observed.RemoveObserver(tag)
        self._tags, self._observed = [], None
