"""References from an image to its results, saved with the scene.

Each segmented image has a hidden script node that refers to its results and holds model, scores
and review. Names of references and parameters are those of saved scenes and must not change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import slicer

from FLoMoSegmentationLib.images import nodes_of_class

NODE_CLASS = "vtkMRMLScriptedModuleNode"
UNCERTAINTY_ROLE = "doubt"
_MODULE = "FLoMoSegmentation.Record"
_STATE = "note"
_SHOWN_MAP = "map"
_MAP_MAXIMUM = "largest"
_HIDDEN_MAP = "map_"


class ResultNodes:
    """The results of one image in the scene.

    Parameters
    ----------
    node
        The hidden node of class `NODE_CLASS`.
    """

    def __init__(self, node: Any) -> None:
        self.node = node

    @classmethod
    def of(cls, volume: Any) -> ResultNodes | None:
        """Return the results of a volume node; None if there are none yet."""
        found = (cls(node) for node in nodes_of_class(NODE_CLASS))
        return next((one for one in found if one._is_ours and one.image is volume), None)

    @classmethod
    def add(cls, volume: Any) -> ResultNodes:
        """Add the hidden node for a volume node."""
        node = slicer.mrmlScene.AddNewNodeByClass(NODE_CLASS, "FLoMo results")
        node.SetHideFromEditors(True)
        node.SetModuleName(_MODULE)
        node.SetNodeReferenceID("image", volume.GetID())
        return cls(node)

    @property
    def image(self) -> Any:
        """The volume node; None if it was deleted."""
        return self.node.GetNodeReference("image")

    @property
    def segmentation(self) -> Any:
        """The segmentation node; None if there is none."""
        return self.node.GetNodeReference("segmentation")

    @property
    def uncertainty(self) -> Any:
        """The volume node with the shown uncertainty map; None if there is none."""
        return self.node.GetNodeReference(UNCERTAINTY_ROLE)

    @property
    def proposed(self) -> Any:
        """The labels of the network before correction: a hidden label map or a sequence."""
        return self.node.GetNodeReference("proposed")

    @property
    def table(self) -> Any:
        """The table of measures."""
        return self.node.GetNodeReference("table")

    def set_reference(self, role: str, node: Any) -> None:
        """Refer to a result node by the name of its property."""
        self.node.SetNodeReferenceID(role, node.GetID())

    @property
    def shown_map(self) -> str:
        """Name of the uncertainty map that is shown."""
        return self.node.GetParameter(_SHOWN_MAP) or "entropy"

    @property
    def map_maximum(self) -> float:
        """Value of the shown map at the end of the colour range."""
        try:
            value = float(self.node.GetParameter(_MAP_MAXIMUM) or 1)
        except ValueError:
            return 1.0
        return value if 0 < value <= 1 else 1.0

    def set_shown_map(self, name: str, maximum: float) -> None:
        """Set the map that is shown, and its value at the end of the colour range."""
        self._set_parameter(_SHOWN_MAP, name)
        self._set_parameter(_MAP_MAXIMUM, repr(maximum))

    @property
    def hidden_maps(self) -> dict[str, Any]:
        """The other computed maps by name: hidden volumes or sequences."""
        node = self.node
        roles = map(node.GetNthNodeReferenceRole, range(node.GetNumberOfNodeReferenceRoles()))
        found = {
            role.removeprefix(_HIDDEN_MAP): node.GetNodeReference(role)
            for role in roles
            if role.startswith(_HIDDEN_MAP)
        }
        return {name: one for name, one in found.items() if one is not None}

    def set_hidden_map(self, name: str, node: Any) -> None:
        """Refer to a computed map that is not shown."""
        self.set_reference(_HIDDEN_MAP + name, node)

    @property
    def state(self) -> dict[str, Any] | None:
        """Model, scores and review; None if missing or damaged."""
        try:
            state = json.loads(self.node.GetParameter(_STATE) or "null")
        except ValueError:
            return None
        return state if isinstance(state, dict) else None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Save model, scores and review; JSON types, nothing that identifies a patient."""
        self._set_parameter(_STATE, json.dumps(state, allow_nan=False, separators=(",", ":")))

    def remove(self) -> None:
        """Remove the hidden node and the nodes that only it refers to."""
        scene = slicer.mrmlScene
        for node in (self.proposed, *self.hidden_maps.values(), self.node):
            if node is not None and scene.IsNodePresent(node):
                scene.RemoveNode(node)

    @property
    def _is_ours(self) -> bool:
        return bool(self.node.GetModuleName() == _MODULE)

    def _set_parameter(self, name: str, text: str) -> None:
        if self.node.GetParameter(name) != text:  # else the scene would count as modified
            self.node.SetParameter(name, text)
