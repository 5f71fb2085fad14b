"""Report edits in the Segment Editor to the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from FLoMoSegmentationLib import scene_sync, segment_nodes
from FLoMoSegmentationLib.sequences import storable_node, with_frames

if TYPE_CHECKING:
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Session, SliceIndex


def report(
    session: Session, scene_image: SceneImage, *, all_frames: bool = True
) -> list[SliceIndex]:
    """Report the voxels painted since the last call; return the changed slices.

    Parameters
    ----------
    session, scene_image
        The session and the image.
    all_frames
        Whether to read all frames of a cine (about 10 ms each), or only those that were selected
        while something was painted.
    """
    image, node = session.image(scene_image.key), scene_image.segmentation
    if node is None or image.labels is None or image.segmentation is None:
        return []
    if not scene_image.painted_frames:
        return []
    report_locks(session, scene_image)
    nodes = scene_image.nodes
    frames = range(nodes.n_frames) if all_frames else sorted(scene_image.painted_frames)
    scene_image.painted_frames.clear()
    if image.steps.left(segment_nodes.step_of(node)) is not None:
        return _report_step(session, scene_image)
    labels = with_frames(image.labels.data)
    slices: list[SliceIndex] = []
    for frame in frames:
        painted = scene_sync.read_labels(nodes, node, image.segmentation.card, frame)
        if painted.shape != labels[frame].shape:
            return []  # the image was changed; the next run opens it again
        changed = painted != labels[frame]
        if changed.any():
            indices = np.flatnonzero(changed) + frame * changed.size
            old, new = labels[frame][changed], painted[changed]
            slices += session.edit(scene_image.key, indices, old, new)
    return slices


def _report_step(session: Session, scene_image: SceneImage) -> list[SliceIndex]:
    """Report that Undo or Redo restored the labels before or after a run.

    The Segment Editor restores one frame of a cine; the session knows the others.
    """
    image, node, nodes = session.image(scene_image.key), scene_image.segmentation, scene_image.nodes
    step = segment_nodes.step_of(node)
    results = image.steps.left(step)
    assert image.labels is not None
    assert results is not None
    assert results.segmentation is not None
    labels, card = results.labels.data, results.segmentation.card
    if nodes.n_frames == 1:
        labels = scene_sync.read_labels(nodes, node, card).reshape(labels.shape)
    changed = labels != image.labels.data
    indices = np.flatnonzero(changed)
    old, new = image.labels.data[changed], labels[changed]
    return session.edit(scene_image.key, indices, old, new, "undo", step=step)


def report_locks(session: Session, scene_image: SceneImage) -> None:
    """Lock the labels whose segments have the status Completed, and unlock the others."""
    image, node = session.image(scene_image.key), scene_image.segmentation
    if node is None or image.segmentation is None:
        return
    locked = segment_nodes.completed(node, image.segmentation.card)
    for code in locked ^ image.locked:
        session.lock(scene_image.key, code, code in locked)


def report_saved(session: Session, scene_image: SceneImage) -> None:
    """Report to the session that the labels were saved, alone or with the scene."""
    node = scene_image.segmentation
    if node is None or scene_image.painted_frames:
        return
    if not storable_node(scene_image.nodes, node).GetModifiedSinceRead():
        session.labels_saved(scene_image.key)


def unknown_segments(session: Session, scene_image: SceneImage) -> list[str]:
    """Return the names of segments that are not structures of the model."""
    image, node = session.image(scene_image.key), scene_image.segmentation
    if node is None or image.segmentation is None:
        return []
    return segment_nodes.unknown_segments(node, image.segmentation.card)
