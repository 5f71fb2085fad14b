"""Write labels as a DICOM Segmentation of a series, in another thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.segmentation import dicom_seg_files, dicom_seg_paths
from napari_flomo.session import messages
from napari_flomo.widgets.saving import check_overwrite

if TYPE_CHECKING:
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_state import ViewerState


def export(viewer_state: ViewerState, entry: ImageLayers, path: Path) -> None:
    """Start to write the current labels of an image; the panels show when it is done.

    The edits still count as unsaved, because napari does not open such a file as labels.

    Raises
    ------
    FlomoError
        If there are no labels, or the image was not opened from a folder.
    """
    image = viewer_state.opened(entry)
    if image is None or image.labels is None or image.segmentation is None:
        raise FlomoError("There are no labels to save yet; segment an image first.")
    series = entry.image.source.path
    if not series:
        raise FlomoError(
            "A DICOM segmentation refers to the images of a series, and this image was not opened "
            "from a DICOM folder; save the labels as NIfTI."
        )
    labels = image.labels.with_data(image.labels.data.copy(), axes=image.labels.axes)
    segmentation = image.segmentation
    frames = np.flatnonzero(np.isfinite(segmentation.slice_scores).any(axis=1)).tolist()
    check_overwrite([one for one in dicom_seg_paths(path, labels, frames) if one != path])
    corrected = not np.array_equal(labels.data, segmentation.labels.data)
    notes: list[str] = []
    chosen = labels.source if labels.source.startswith("dicom-") else None

    def work() -> None:
        try:
            jobs = dicom_seg_files(
                labels,
                segmentation.card,
                series,
                path,
                series=chosen,
                frames=frames,
                corrected=corrected,
                note=notes.append,
            )
            write_all(jobs)
        except FlomoError as error:
            text = str(error)
            viewer_state.in_main_thread(lambda: viewer_state.post_message(text, "warning"))
        else:
            wrote = ", ".join(str(one) for one, _ in jobs)
            text = " ".join((messages.SAVED_TO.format(wrote), *notes))
            viewer_state.in_main_thread(lambda: viewer_state.post_message(text))

    viewer_state.post_message("Writing the DICOM segmentation…")
    threading.Thread(target=work, name="flomo export", daemon=True).start()
