"""The uncertainty maps of an image in the scene: one is shown, the others are hidden nodes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from FLoMoSegmentationLib import uncertainty
from FLoMoSegmentationLib.frames import (
    attach_to_image,
    frame_nodes,
    make_hidden,
    make_node,
    on_grid,
    read_voxels,
    with_frames,
    write_voxels,
)
from FLoMoSegmentationLib.record import UNCERTAINTY_ROLE
from napari_flomo.segmentation import DEFAULT_MAPS
from napari_flomo.session import uncertainty_maps

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from FLoMoSegmentationLib.record import Record
    from napari_flomo.session import OpenImage
    from napari_flomo.volumes import Volume

KIND = "vtkMRMLScalarVolumeNode"


def show(
    source: Source, record: Record, image: OpenImage, threshold: float, name: str = ""
) -> None:
    """Write a map into the volume node with the uncertainty, and keep the others hidden.

    Parameters
    ----------
    source, record, image
        The image in the scene, its results there, and the image in the session.
    threshold
        Of the uncertainty, see `uncertainty.style`.
    name
        Of the map. By default, and where the image has none of that name, the one that was shown
        before, or else the one that every run brings.
    """
    known = {} if image.segmentation is None else image.segmentation.uncertainty
    if not known:
        return
    shown = next(one for one in (name, record.map, *DEFAULT_MAPS, *known) if one in known)
    node = record.uncertainty
    if node is None:
        node = make_node(source, KIND, f"{image.name} uncertainty")
        record.refer(UNCERTAINTY_ROLE, node)
    attach_to_image(source, node)
    _write(source, node, shown, known[shown])
    record.show(shown, uncertainty_maps.largest_shown(shown, known[shown].data))
    uncertainty.style(slicer.mrmlScene, node, threshold, record.largest)
    others = [one for one in known if one != shown]
    let_go(record, keep=others)
    for other in others:
        if other not in record.waiting:
            hidden = make_hidden(
                source, KIND, f"{image.name} {uncertainty_maps.title_of(other).lower()}"
            )
            record.let_wait(other, hidden)
            _write(source, hidden, other, known[other])


def let_go(record: Record, keep: Collection[str] = ()) -> None:
    """Remove the maps that wait, but for some."""
    for name, node in record.waiting.items():
        if name not in keep:
            slicer.mrmlScene.RemoveNode(node)


def read(source: Source, record: Record, image: OpenImage) -> dict[str, Volume]:
    """Return the maps that a scene has of an image, as `Segmentation.uncertainty` has them.

    Raises
    ------
    FlomoError
        If one does not fit the image any more.
    """
    nodes = record.waiting
    if record.uncertainty is not None:
        nodes = {record.map: record.uncertainty, **nodes}
    return {name: on_grid(image, read_voxels(source, node)) for name, node in nodes.items()}


def _write(source: Source, node: Any, name: str, found: Volume) -> None:
    """Write voxels, and what they mean: shares have no unit."""
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("1", "UCUM", "no units")
    frames = frame_nodes(source, node)
    for one in {node, *frames}:  # units do not come along when a browser shows a frame
        if one.IsA(KIND):
            one.SetDescription(
                f"{uncertainty_maps.title_of(name)}: {uncertainty_maps.explanation_of(name)}"
            )
            one.SetVoxelValueUnits(units)
    write_voxels(source, node, with_frames(found.data).astype(np.float32, copy=False))
