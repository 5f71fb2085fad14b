"""The network's uncertainty as a volume: a node, a colour table of its own, an overlay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.4
"""Uncertainty below this is hidden at first, as in napari: calibrated probabilities are never sure,
and at a quarter of the largest entropy the whole neighbourhood of a heart would glow."""

OPACITY = 0.6
TABLE = "FLoMo uncertainty"

# From dark violet over magenta to pale yellow, as in napari: none of it is the colour of a label,
# and the brightness grows throughout, so that it is read without telling colours apart.
_STOPS = np.array(
    [
        (0.00, 0.23, 0.06, 0.45),
        (0.35, 0.60, 0.12, 0.70),
        (0.60, 0.93, 0.30, 0.78),
        (0.80, 1.00, 0.67, 0.62),
        (1.00, 1.00, 0.98, 0.60),
    ]
)
_STEPS = 256


def colours() -> NDArray[np.float64]:
    """Return 256 colours (red, green, blue) from certain to no idea."""
    values = np.linspace(0, 1, _STEPS)
    return np.stack([np.interp(values, _STOPS[:, 0], _STOPS[:, i]) for i in (1, 2, 3)], axis=1)


def colour_table(scene: Any) -> Any:
    """Return the colour table of uncertainty maps, made where the scene has none."""
    found = scene.GetFirstNode(TABLE, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", TABLE)
    node.SetTypeToUser()
    node.SetAttribute("Category", "FLoMo")
    node.SetNumberOfColors(_STEPS)
    node.SetNamesFromColors() if hasattr(node, "SetNamesFromColors") else None
    for index, (red, green, blue) in enumerate(colours()):
        node.SetColor(index, f"{index / (_STEPS - 1):.2f}", red, green, blue, 1.0)
    node.GetLookupTable().SetRange(0, 1)
    return node


def style(scene: Any, node: Any, threshold: float = THRESHOLD, largest: float = 1.0) -> None:
    """Let an uncertainty map be drawn in its colours, and clear where the network is certain.

    Parameters
    ----------
    scene, node
        The scene, and the volume with the map.
    threshold
        Uncertainty below this share of ``largest`` is clear.
    largest
        Value that gets the last colour; more than that is drawn alike.
    """
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colour_table(scene).GetID())
    display.SetInterpolate(0)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, largest)
    display.AutoThresholdOff()
    display.SetThreshold(threshold * largest, 1.0)
    display.ApplyThresholdOn()
