"""Pass strokes on a labels layer to the session, and report strokes on locked labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session import messages
from napari_flomo.widgets.label_diff import LabelChange, LabelWatcher
from napari_flomo.widgets.label_locks import LockGuard
from napari_flomo.widgets.layers import KEY, Grid
from napari_flomo.widgets.navigation import shown_region

if TYPE_CHECKING:
    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_images import ViewerImages


def follow(images: ViewerImages, entry: ImageLayers) -> None:
    """Report every change of a labels layer to the session."""
    image = images.opened(entry)
    assert entry.labels is not None
    assert image is not None
    labels, spare = entry.labels, image.take_spare()
    grid: Grid = labels.metadata[KEY]
    entry.watch = LabelWatcher(
        entry.labels,
        lambda change: _on_change(images, entry, change),
        lambda: image.locked,
        lambda: shown_region(images.viewer, labels),
        before=None if spare is None else grid.layer_array(spare),
        parent=images,
        step=image.steps.current,
    )
    entry.lock_guard = LockGuard(
        entry.labels,
        lambda: image.locked,
        lambda codes: _report_locked(images, image, codes),
        images,
    )


def _on_change(images: ViewerImages, entry: ImageLayers, change: LabelChange) -> None:
    image = images.opened(entry)
    if image is None or image.labels is None:
        return
    if change.refused:
        _report_locked(images, image, change.refused)
    if not change:
        return
    indices, old, new = _in_image(entry, change)
    slices = images.session.edit(image.key, indices, old, new, change.kind, step=change.step)
    if change.kind != "stroke" and not change.step and images.position(entry) not in slices:
        shown = ", ".join(str(index.slice + 1) for index in slices[:3])
        images.post_message(f"That changed slice {shown}, which is not on the screen.")


def _in_image(
    entry: ImageLayers, change: LabelChange
) -> tuple[NDArray[np.int64], NDArray[np.integer], NDArray[np.integer]]:
    """Return indices, old and new labels of a change in the axis order of the image."""
    assert entry.labels is not None
    grid: Grid = entry.labels.metadata[KEY]
    indices = grid.flat_indices(change.indices)
    if indices is change.indices:
        return indices, change.old, change.new
    ascending = np.argsort(indices)
    return indices[ascending], change.old[ascending], change.new[ascending]


def _report_locked(images: ViewerImages, image: OpenImage, codes: frozenset[int]) -> None:
    card = None if image.segmentation is None else image.segmentation.card
    images.post_message(messages.locked_text(codes, card))
