"""A session's results as nodes of the scene, and back after a scene was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from FLoMoSegmentationLib import maps
from FLoMoSegmentationLib.axes import from_node, ijk_of, to_node
from FLoMoSegmentationLib.frames import (
    attach_to_image,
    frame_nodes,
    make_hidden,
    make_node,
    on_grid,
    read_voxels,
    refresh,
    with_frames,
    write_voxels,
)
from FLoMoSegmentationLib.images import ijk_to_ras
from FLoMoSegmentationLib.record import Record
from FLoMoSegmentationLib.segment_nodes import read_segments, write_segments
from napari_flomo.session import messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from napari_flomo.models import ModelCard
    from napari_flomo.session import OpenImage, Session


def show_labels(source: Source, record: Record, image: OpenImage) -> None:
    """Write the labels of an image into its segmentation node, made where there is none."""
    assert image.labels is not None
    assert image.segmentation is not None
    node = record.segmentation
    if node is None:
        name = f"{image.name} labels"
        node = make_node(source, "vtkMRMLSegmentationNode", name, editable=True)
        record.refer("segmentation", node)
    attach_to_image(source, node)
    write_labels(source, node, with_frames(image.labels.data), image.segmentation.card)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetOpacity2DFill(0.35)


def write_labels(source: Source, node: Any, labels: NDArray[np.integer], card: ModelCard) -> None:
    """Write ``(frames, slices, rows, columns)`` into a segmentation node or its sequence."""
    stacks = to_node(source, labels)
    for target, frame in zip(frame_nodes(source, node), stacks, strict=True):
        write_segments(target, frame, card, source.node)
    refresh(source)
    if source.sequence is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(source.node)


def read_labels(
    source: Source, node: Any, card: ModelCard, frame: int | None = None
) -> NDArray[np.uint8]:
    """Return what is painted: ``(frames, slices, rows, columns)``, or one frame of it."""
    nodes = frame_nodes(source, node)
    if frame is not None:
        return from_node(source, read_segments(nodes[frame], card, source.node))
    return from_node(source, np.stack([read_segments(one, card, source.node) for one in nodes]))


def keep_proposed(source: Source, record: Record, image: OpenImage) -> None:
    """Keep what the network said in the scene, hidden: a correction tells what was changed."""
    assert image.segmentation is not None
    node = record.proposed
    if node is None:
        name = messages.proposed_name(image.name)
        node = make_hidden(source, "vtkMRMLLabelMapVolumeNode", name)
        record.refer("proposed", node)
    write_voxels(source, node, with_frames(image.segmentation.labels.data))


def keep_note(record: Record, image: OpenImage) -> None:
    """Keep model, scores and review of an image in the scene."""
    from napari_flomo.session import note_of

    record.write(
        {
            **note_of(image),
            "slice_axis": image.volume.geometry.affine_ras()[:3, 2].round(6).tolist(),
        }
    )


def restore(session: Session, key: str, source: Source, record: Record) -> bool:
    """Restore the results of a loaded scene in the session; return False if there are none.

    Raises
    ------
    FlomoError
        If they do not fit the image any more.
    """
    from napari_flomo.models import ModelCard

    note, segmentation = record.note, record.segmentation
    if note is None or segmentation is None or record.proposed is None:
        return False
    image = session.image(key)
    card = ModelCard.from_dict(note["card"])
    slices = ijk_to_ras(source.node)[:3, ijk_of(source)[2]]
    note = _turned(note, slices, image.volume.n_slices)
    session.restore_saved(
        key,
        note,
        on_grid(image, read_voxels(source, record.proposed).astype(np.uint8)),
        on_grid(image, read_labels(source, segmentation, card)),
        maps.read(source, record, image),
    )
    return True


def _turned(note: Mapping[str, Any], slices: NDArray[np.float64], count: int) -> dict[str, Any]:
    """Return a note with its slices in the order that the image has now.

    Slicer saves a left-handed grid as it is and loads it as a right-handed one, with the slices the
    other way round.
    """
    result = dict(note)
    axis = note.get("slice_axis")
    if axis is None or np.asarray(axis) @ slices > 0:
        return result
    review = dict(note["review"])
    for name in ("states", "edits"):
        review[name] = [[row[0], count - 1 - row[1], row[2]] for row in review[name]]
    if review["current"] is not None:
        review["current"] = [review["current"][0], count - 1 - review["current"][1]]
    result["review"] = review
    result["slice_scores"] = [row[::-1] for row in note["slice_scores"]]
    return result
