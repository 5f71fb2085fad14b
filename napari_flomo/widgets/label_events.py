"""Pass strokes on a labels layer to the session, and report strokes on locked labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session import messages
from napari_flomo.widgets.label_diff import LabelChange, LabelWatcher
from napari_flomo.widgets.label_locks import LockGuard
from napari_flomo.widgets.layers import KEY, SAVED, Grid
from napari_flomo.widgets.navigation import shown_region

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_images import ViewerImages


def follow(
    images: ViewerImages, entry: ImageLayers, before: NDArray[np.integer] | None = None
) -> None:
    """Report every change of a labels layer to the session; ``before`` as in `LabelWatcher`."""
    image = images.opened(entry)
    assert entry.labels is not None
    assert image is not None
    labels, spare = entry.labels, image.take_spare()
    if before is None and spare is not None:
        grid: Grid = labels.metadata[KEY]
        before = grid.layer_array(spare)
    entry.watch = LabelWatcher(
        entry.labels,
        lambda change: _on_change(images, entry, change),
        lambda: image.locked,
        lambda: shown_region(images.viewer, labels),
        before=before,
        parent=images,
        step=image.steps.current,
    )
    entry.lock_guard = LockGuard(
        entry.labels,
        lambda: image.locked,
        lambda codes: _report_locked(images, image, codes),
        images,
    )


def use(images: ViewerImages, entry: ImageLayers, layer: Labels) -> None:
    """Review another layer in place of the labels of an image; the difference is one stroke.

    The layer must have the grid of the image. The labels that were reviewed so far are hidden.
    """
    image = images.opened(entry)
    assert image is not None
    assert image.labels is not None
    grid = Grid.below(entry.image, image.volume)
    entry.stop_watching()
    replaced, entry.labels = entry.labels, layer
    before = grid.layer_data(image.labels).astype(layer.data.dtype)
    images.session.set_labels(image.key, image.labels.data.copy())  # no longer the array below
    follow(images, entry, before)
    layer.metadata[KEY] = grid
    layer.metadata[SAVED] = lambda: images.session.labels_saved(image.key)
    assert entry.watch is not None
    entry.watch.compare("stroke")
    images.session.set_labels(image.key, grid.array(layer.data))
    if replaced is not None:
        replaced.metadata.pop(SAVED, None)
        replaced.visible = False
    layer.visible = True
    images.viewer.layers.selection.active = layer
    images.current_changed.emit()


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
