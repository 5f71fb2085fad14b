"""Write the results of a session into the scene, and restore them after a scene was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from FLoMoSegmentationLib import measures, segment_nodes, uncertainty
from FLoMoSegmentationLib.images import ijk_to_ras
from FLoMoSegmentationLib.segment_nodes import read_segments, write_segments
from FLoMoSegmentationLib.sequences import (
    add_hidden_node,
    add_node,
    attach_to_image,
    frame_nodes,
    on_image_grid,
    read_voxels,
    update_proxy_nodes,
    with_frames,
    write_voxels,
)
from FLoMoSegmentationLib.slice_axis import from_node_order, ijk_axes, to_node_order
from napari_flomo.session import messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import ImageNodes
    from FLoMoSegmentationLib.result_nodes import ResultNodes
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.models import ModelCard
    from napari_flomo.session import OpenImage, Session


def show_labels(nodes: ImageNodes, results: ResultNodes, image: OpenImage) -> None:
    """Write the labels of an image into its segmentation node, which is added if missing."""
    assert image.labels is not None
    assert image.segmentation is not None
    node = results.segmentation
    if node is None:
        name = f"{image.name} labels"
        node = add_node(nodes, "vtkMRMLSegmentationNode", name, save_changes=True)
        results.set_reference("segmentation", node)
    attach_to_image(nodes, node)
    write_labels(nodes, node, with_frames(image.labels.data), image.segmentation.card)
    mark_step(nodes, node, image)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetOpacity2DFill(0.35)


def write_labels(
    nodes: ImageNodes, node: Any, labels: NDArray[np.integer], card: ModelCard
) -> None:
    """Write ``(frames, slices, rows, columns)`` into a segmentation node or its sequence."""
    stacks = to_node_order(nodes, labels)
    for target, frame in zip(frame_nodes(nodes, node), stacks, strict=True):
        write_segments(target, frame, card, nodes.volume)
    update_proxy_nodes(nodes)
    if nodes.sequence is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(nodes.volume)


def show_other_frames(nodes: ImageNodes, node: Any, image: OpenImage) -> None:
    """Write the labels of all frames but the one on the screen, which Undo has restored.

    Writing that one, too, would end Redo.
    """
    assert image.labels is not None
    assert image.segmentation is not None
    stacks = to_node_order(nodes, with_frames(image.labels.data))
    for frame, target in enumerate(frame_nodes(nodes, node)):
        if frame != nodes.frame:
            write_segments(target, stacks[frame], image.segmentation.card, nodes.volume)
            segment_nodes.set_step(target, image.steps.current)


def mark_step(nodes: ImageNodes, node: Any, image: OpenImage) -> None:
    """Note in a segmentation which step of the session it shows."""
    for target in {node, *frame_nodes(nodes, node)}:
        segment_nodes.set_step(target, image.steps.current)


def read_labels(
    nodes: ImageNodes, node: Any, card: ModelCard, frame: int | None = None
) -> NDArray[np.uint8]:
    """Return the labels of a segmentation: ``(frames, slices, rows, columns)``, or one frame."""
    targets = frame_nodes(nodes, node)
    if frame is not None:
        return from_node_order(nodes, read_segments(targets[frame], card, nodes.volume))
    stacks = [read_segments(target, card, nodes.volume) for target in targets]
    return from_node_order(nodes, np.stack(stacks))


def write_proposed(nodes: ImageNodes, results: ResultNodes, image: OpenImage) -> None:
    """Write the labels of the network into a hidden node; a correction is their difference."""
    assert image.segmentation is not None
    node = results.proposed
    if node is None:
        node = add_hidden_node(
            nodes, "vtkMRMLLabelMapVolumeNode", messages.proposed_name(image.name)
        )
        results.set_reference("proposed", node)
    write_voxels(nodes, node, with_frames(image.segmentation.labels.data))


def save_state(session: Session, scene_image: SceneImage) -> None:
    """Write state and measures of an image into the scene if it has results there."""
    from napari_flomo.session import note_of

    image, results = session.image(scene_image.key), scene_image.results
    if results is None or image.segmentation is None or image.review is None:
        return
    if scene_image.restoring:
        return
    slice_axis = image.volume.geometry.affine_ras()[:3, 2].round(6).tolist()
    results.set_state({**note_of(image), "slice_axis": slice_axis})
    key, frame = scene_image.key, scene_image.nodes.frame
    rows = measures.rows_of(image, session.measures(key), frame, session.curves(key))
    measures.write_table(results, f"{image.name} measures", rows)


def restore(session: Session, scene_image: SceneImage) -> None:
    """Restore the results of a loaded scene in the session; remove them if incomplete.

    Raises
    ------
    FlomoError
        If they do not fit the image.
    """
    results = scene_image.results
    if results is None:
        return
    state = results.state
    if state is None or results.segmentation is None or results.proposed is None:
        scene_image.results = None
        results.remove()
        return
    scene_image.restoring = True
    try:
        _restore(session, scene_image, results, state)
    finally:
        scene_image.restoring = False


def _restore(
    session: Session, scene_image: SceneImage, results: ResultNodes, state: Mapping[str, Any]
) -> None:
    from napari_flomo.models import ModelCard

    nodes, image = scene_image.nodes, session.image(scene_image.key)
    card = ModelCard.from_dict(state["card"])
    slice_axis = ijk_to_ras(nodes.volume)[:3, ijk_axes(nodes)[2]]
    session.restore_saved(
        scene_image.key,
        _in_slice_order(state, slice_axis, image.volume.n_slices),
        on_image_grid(image, read_voxels(nodes, results.proposed).astype(np.uint8)),
        on_image_grid(image, read_labels(nodes, results.segmentation, card)),
        uncertainty.read_maps(nodes, results, image),
    )
    mark_step(nodes, results.segmentation, image)


def _in_slice_order(
    state: Mapping[str, Any], slice_axis: NDArray[np.float64], n_slices: int
) -> dict[str, Any]:
    """Return a state in the slice order of the loaded image.

    Slicer saves a left-handed grid unchanged and loads it right-handed, with reversed slices.
    """
    result = dict(state)
    saved = state.get("slice_axis")
    if saved is None or np.asarray(saved) @ slice_axis > 0:
        return result
    review = dict(state["review"])
    for name in ("states", "edits"):
        review[name] = [[row[0], n_slices - 1 - row[1], row[2]] for row in review[name]]
    if review["current"] is not None:
        review["current"] = [review["current"][0], n_slices - 1 - review["current"][1]]
    result["review"] = review
    result["slice_scores"] = [row[::-1] for row in state["slice_scores"]]
    return result
