"""How an uncertainty map is drawn: colour table and threshold of its volume node."""

from __future__ import annotations

from typing import Any

from napari_flomo.session import uncertainty_maps

TABLE = "FLoMo uncertainty"


def colour_table(scene: Any) -> Any:
    """Return the colour table of uncertainty maps, made where the scene has none."""
    found = scene.GetFirstNode(TABLE, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    colours = uncertainty_maps.colours()
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", TABLE)
    node.SetTypeToUser()
    node.SetAttribute("Category", "FLoMo")
    node.SetNumberOfColors(len(colours))
    node.SetNamesFromColors() if hasattr(node, "SetNamesFromColors") else None
    for index, (red, green, blue) in enumerate(colours):
        node.SetColor(index, f"{index / (len(colours) - 1):.2f}", red, green, blue, 1.0)
    node.GetLookupTable().SetRange(0, 1)
    return node


def style(
    scene: Any, node: Any, threshold: float = uncertainty_maps.THRESHOLD, largest: float = 1.0
) -> None:
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
