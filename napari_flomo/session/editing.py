"""Changes to the labels of an open image: applied, measured and recorded in its journal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Journal
from napari_flomo.errors import FlomoError
from napari_flomo.measures import VoxelCounts
from napari_flomo.session.autosave import Autosave, EditKind, OnProblem
from napari_flomo.session.changes import update_edits
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.provenance import provenance_of
from napari_flomo.session.review import SliceIndex


def edit(
    image: OpenImage,
    indices: NDArray[np.integer],
    old: NDArray[np.integer],
    new: NDArray[np.integer],
    kind: EditKind,
    *,
    on_problem: OnProblem,
) -> list[SliceIndex]:
    """Apply a change of voxels to the labels of an image; return the slices that it touches.

    The first edit starts the journal. See `Session.edit` for the parameters.

    Raises
    ------
    FlomoError
        If the image was not segmented.
    """
    image.require_segmentation()
    assert image.labels is not None
    assert image.counts is not None
    if image.autosave is None:
        before = image.labels.data.copy()
        before.ravel()[indices] = old
        image.autosave = begin_autosave(image, before, on_problem)
    image.spare = None
    image.autosave.record_change(kind, indices, old, new)
    image.labels.data.flat[indices] = new
    image.undoable.clear()
    edited = slices_of(indices, image)
    for index in edited:
        measure_slice(image, index)
    image.activity.tick()
    return edited


def measure_slice(image: OpenImage, index: SliceIndex) -> None:
    """Count the voxels and the edits of a slice again."""
    assert image.labels is not None
    assert image.counts is not None
    at = tuple(index) if "frames" in image.labels.axes else (index.slice,)
    image.counts.update(index.frame, index.slice, image.labels.data[at])
    update_edits(image, index)


def replace_labels(image: OpenImage, labels: NDArray[Any]) -> None:
    """Replace all labels of an image, count them and record the difference.

    Raises `FlomoError` if they are no integers or not on the grid, or there are none yet.
    """
    image.require_segmentation()
    assert image.labels is not None
    assert image.counts is not None
    before = image.labels.data
    if np.shape(labels) != before.shape:
        raise FlomoError(
            f"Labels of shape {np.shape(labels)} do not lie on the grid of {image.name}, which has "
            f"the shape {before.shape}; choose those of this image."
        )
    changed = image.labels.with_data(np.asarray(labels), axes=image.labels.axes)
    counts = VoxelCounts.of(changed, image.counts.codes)
    image.labels, image.counts, image.spare = changed, counts, None
    image.undoable.clear()
    update_edits(image)
    record_difference(image, before)


def record_difference(image: OpenImage, before: NDArray[np.integer]) -> None:
    """Record in the journal, if the image has one, what changed since ``before``."""
    assert image.labels is not None
    after = image.labels.data
    if image.autosave is None or before is after:
        return
    indices = np.flatnonzero(before != after)
    if indices.size:
        image.autosave.record_change(
            "stroke", indices, before.ravel()[indices], after.ravel()[indices]
        )


def begin_autosave(
    image: OpenImage, before: NDArray[np.integer], on_problem: OnProblem
) -> Autosave:
    """Return the autosave of a segmented image; its journal is created at the first record.

    ``before`` are the labels before the first stroke; the journal keeps this array.
    """
    assert image.labels is not None
    volume = image.volume
    labels = image.labels.with_data(before, axes=image.labels.axes)
    note = provenance_of(image) | {"image": image.safe_name}
    locked, accepted = image.locked, tuple(image.confirmed)

    def make() -> Journal:
        return Journal.create(
            volume,
            labels,
            image_hash=image.hash,
            about=note,
            locked=locked,
            accepted=accepted,
        )

    return Autosave(make, on_problem)


def slices_of(indices: NDArray[np.integer], image: OpenImage) -> list[SliceIndex]:
    """Return the slices of an image that contain voxels, given by flat indices, in order."""
    slices, rows, columns = image.volume.spatial_shape
    numbers = np.unique(indices // (rows * columns))
    return [SliceIndex(int(number) // slices, int(number) % slices) for number in numbers]
