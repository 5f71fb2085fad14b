"""Links an image in the scene with its labels, uncertainty and state of review.

Each segmented image has a hidden node that refers to its results, so that a scene that was saved
and loaded again knows what it is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import slicer

KIND = "vtkMRMLScriptedModuleNode"
UNCERTAINTY_ROLE = "doubt"
"""Name of the node reference in saved scenes; never renamed, so that old scenes open."""
_MODULE = "FLoMoSegmentation.Record"
_NOTE = "note"
_MAP = "map"
_LARGEST = "largest"
_WAITING = "map_"


class Record:
    """The results of one image; a thin face of a hidden node.

    Parameters
    ----------
    node
        Of kind `KIND`.
    """

    def __init__(self, node: Any) -> None:
        self.node = node

    @classmethod
    def of(cls, image: Any) -> Record | None:
        """Return the record of an image of the scene; None where there is none yet."""
        return next((one for one in cls.all() if one.image is image), None)

    @classmethod
    def make(cls, image: Any) -> Record:
        """Add a record for an image."""
        node = slicer.mrmlScene.AddNewNodeByClass(KIND, "FLoMo results")
        node.SetHideFromEditors(True)
        node.SetModuleName(_MODULE)
        node.SetNodeReferenceID("image", image.GetID())
        return cls(node)

    @classmethod
    def all(cls) -> list[Record]:
        """Return the records of the scene."""
        scene = slicer.mrmlScene
        nodes = [
            scene.GetNthNodeByClass(i, KIND) for i in range(scene.GetNumberOfNodesByClass(KIND))
        ]
        return [cls(node) for node in nodes if node.GetModuleName() == _MODULE]

    @property
    def image(self) -> Any:
        """The volume node; None if it was deleted."""
        return self.node.GetNodeReference("image")

    @property
    def segmentation(self) -> Any:
        """The segmentation node; None if there is none (any more)."""
        return self.node.GetNodeReference("segmentation")

    @property
    def uncertainty(self) -> Any:
        """The volume node with the uncertainty; None if there is none (any more)."""
        return self.node.GetNodeReference(UNCERTAINTY_ROLE)

    @property
    def map(self) -> str:
        """Name of the map that the volume node with the uncertainty shows."""
        return self.node.GetParameter(_MAP) or "entropy"

    @property
    def largest(self) -> float:
        """Value of the shown map that gets the last colour."""
        try:
            value = float(self.node.GetParameter(_LARGEST) or 1)
        except ValueError:
            return 1.0
        return value if 0 < value <= 1 else 1.0

    def show(self, name: str, largest: float) -> None:
        """Save the map that is shown, and the value that gets the last colour."""
        for key, text in ((_MAP, name), (_LARGEST, repr(largest))):
            if self.node.GetParameter(key) != text:
                self.node.SetParameter(key, text)

    @property
    def waiting(self) -> dict[str, Any]:
        """The maps that are there and not shown, by name: hidden volumes or sequences."""
        roles = [
            self.node.GetNthNodeReferenceRole(number)
            for number in range(self.node.GetNumberOfNodeReferenceRoles())
        ]
        found = {
            role.removeprefix(_WAITING): self.node.GetNodeReference(role)
            for role in roles
            if role.startswith(_WAITING)
        }
        return {name: node for name, node in found.items() if node is not None}

    def let_wait(self, name: str, node: Any) -> None:
        """Keep a map that is not shown."""
        self.refer(_WAITING + name, node)

    @property
    def proposed(self) -> Any:
        """What the network found before any correction: a hidden label map or a sequence."""
        return self.node.GetNodeReference("proposed")

    @property
    def table(self) -> Any:
        """The table of measures."""
        return self.node.GetNodeReference("table")

    def refer(self, role: str, node: Any) -> None:
        """Keep a result under one of the names above."""
        self.node.SetNodeReferenceID(role, node.GetID())

    @property
    def note(self) -> dict[str, Any] | None:
        """What `write` was given; None if there is nothing or it is damaged."""
        try:
            note = json.loads(self.node.GetParameter(_NOTE) or "null")
        except ValueError:
            return None
        return note if isinstance(note, dict) else None

    def write(self, note: Mapping[str, Any]) -> None:
        """Keep model, scores and review; plain JSON types, nothing about a patient."""
        text = json.dumps(note, allow_nan=False, separators=(",", ":"))
        if text != self.node.GetParameter(_NOTE):
            self.node.SetParameter(_NOTE, text)

    def forget(self) -> None:
        """Remove the record and what only it needs."""
        scene = slicer.mrmlScene
        for node in (self.proposed, *self.waiting.values(), self.node):
            if node is not None and scene.IsNodePresent(node):
                scene.RemoveNode(node)
