"""Uncertainty maps in the scene: one is shown, the others are hidden nodes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from FLoMoSegmentationLib.result_nodes import UNCERTAINTY_ROLE
from FLoMoSegmentationLib.sequences import (
    add_hidden_node,
    add_node,
    attach_to_image,
    frame_nodes,
    on_image_grid,
    read_voxels,
    with_frames,
    write_voxels,
)
from napari_flomo.segmentation import DEFAULT_MAPS
from napari_flomo.session import uncertainty_maps

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import ImageNodes
    from FLoMoSegmentationLib.result_nodes import ResultNodes
    from napari_flomo.session import OpenImage
    from napari_flomo.volumes import Volume

NODE_CLASS = "vtkMRMLScalarVolumeNode"
COLOUR_TABLE_NAME = "FLoMo uncertainty"


def show_map(nodes: ImageNodes, results: ResultNodes, image: OpenImage, name: str = "") -> None:
    """Write a map into the shown volume node, and the others into hidden ones.

    Parameters
    ----------
    nodes, results, image
        The nodes of the image, its results, and the image in the session.
    name
        Name of the map; if empty or missing, the one shown before, or the default map.
    """
    maps = {} if image.segmentation is None else image.segmentation.uncertainty
    if not maps:
        return
    shown = next(one for one in (name, results.shown_map, *DEFAULT_MAPS, *maps) if one in maps)
    node = results.uncertainty
    if node is None:
        node = add_node(nodes, NODE_CLASS, f"{image.name} uncertainty")
        results.set_reference(UNCERTAINTY_ROLE, node)
    attach_to_image(nodes, node)
    _write(nodes, node, shown, maps[shown])
    results.set_shown_map(shown, uncertainty_maps.largest_shown(shown, maps[shown].data))
    style(node, maximum=results.map_maximum)
    others = [one for one in maps if one != shown]
    remove_hidden_maps(results, keep=others)
    for other in (one for one in others if one not in results.hidden_maps):
        title = uncertainty_maps.title_of(other).lower()
        hidden = add_hidden_node(nodes, NODE_CLASS, f"{image.name} {title}")
        results.set_hidden_map(other, hidden)
        _write(nodes, hidden, other, maps[other])


def remove_hidden_maps(results: ResultNodes, keep: Collection[str] = ()) -> None:
    """Remove the hidden maps except for some."""
    for name, node in results.hidden_maps.items():
        if name not in keep:
            slicer.mrmlScene.RemoveNode(node)


def read_maps(nodes: ImageNodes, results: ResultNodes, image: OpenImage) -> dict[str, Volume]:
    """Return the maps of an image by name, as in `Segmentation.uncertainty`.

    Raises
    ------
    FlomoError
        If a map does not fit the image.
    """
    maps = results.hidden_maps
    if results.uncertainty is not None:
        maps = {results.shown_map: results.uncertainty, **maps}
    return {name: on_image_grid(image, read_voxels(nodes, node)) for name, node in maps.items()}


def colour_table() -> Any:
    """Return the colour table of uncertainty maps, which is added if missing."""
    scene = slicer.mrmlScene
    found = scene.GetFirstNode(COLOUR_TABLE_NAME, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    colours = uncertainty_maps.colours()
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOUR_TABLE_NAME)
    node.SetTypeToUser()
    node.SetAttribute("Category", "FLoMo")
    node.SetNumberOfColors(len(colours))
    if hasattr(node, "SetNamesFromColors"):
        node.SetNamesFromColors()
    for index, (red, green, blue) in enumerate(colours):
        node.SetColor(index, f"{index / (len(colours) - 1):.2f}", red, green, blue, 1.0)
    node.GetLookupTable().SetRange(0, 1)
    return node


def style(node: Any, threshold: float = uncertainty_maps.THRESHOLD, maximum: float = 1.0) -> None:
    """Set colour table, range and threshold of a volume node with an uncertainty map.

    Parameters
    ----------
    node
        The volume node.
    threshold
        Values below this fraction of ``maximum`` are transparent.
    maximum
        Value at the end of the colour range.
    """
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colour_table().GetID())
    display.SetInterpolate(0)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, maximum)
    display.AutoThresholdOff()
    display.SetThreshold(threshold * maximum, 1.0)
    display.ApplyThresholdOn()


def _write(nodes: ImageNodes, node: Any, name: str, volume: Volume) -> None:
    """Write the voxels, description and unit of a map."""
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("1", "UCUM", "no units")
    title, text = uncertainty_maps.title_of(name), uncertainty_maps.explanation_of(name)
    for target in {node, *frame_nodes(nodes, node)}:  # proxy nodes do not get their units
        if target.IsA(NODE_CLASS):
            target.SetDescription(f"{title}: {text}")
            target.SetVoxelValueUnits(units)
    write_voxels(nodes, node, with_frames(volume.data).astype(np.float32, copy=False))
