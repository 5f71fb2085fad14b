"""The report of an open image."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike, write_all
from napari_flomo.measures import Conventions, measure_study
from napari_flomo.reports import Report, structured_report_files
from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.insertions import insertions_by_frame
from napari_flomo.session.phases import segmented_frames


def report_of(image: OpenImage, conventions: Conventions | None = None) -> Report:
    """Return the report of the current labels of an image; nothing of the person is filled in.

    ``conventions`` are those of the image by default. Raises `FlomoError` if the image was not
    segmented, or the conventions need what is not known.
    """
    segmentation = image.require_segmentation()
    assert image.labels is not None
    # A copy: the report may be saved while the user draws.
    labels = image.labels.with_data(image.labels.data.copy(), axes=image.labels.axes)
    frames, whole = segmented_frames(image)
    measures = measure_study(
        labels,
        segmentation.card.labels,
        phases=image.phases,
        frames=frames,
        whole=whole,
        conventions=conventions or image.conventions,
        images=[image.volume],
        insertions=insertions_by_frame(image),
    )
    review = image.review
    accepted = (
        "" if review is None else messages.ACCEPTED_OF.format(review.accepted, len(review.order))
    )
    return Report(
        measures,
        [labels],
        segmentation.card.labels,
        [image.volume],
        segmentation.card,
        accepted=accepted,
    )


def start_structured_report(
    image: OpenImage,
    report: Report,
    series: PathLike,
    path: PathLike,
    *,
    done: Callable[[str], None],
    in_main_thread: Callable[[Callable[[], None]], object],
) -> None:
    """Run `save_structured_report` in a thread.

    ``done`` is called through ``in_main_thread`` with what to show to the user, also for an error.
    """

    def work() -> None:
        try:
            text = save_structured_report(image, report, series, path)
        except FlomoError as error:
            text = str(error)
        in_main_thread(lambda: done(text))

    threading.Thread(target=work, name="flomo report", daemon=True).start()


def save_structured_report(
    image: OpenImage, report: Report, series: PathLike, path: PathLike
) -> str:
    """Write a DICOM structured report of an image, and segmentations of the measured frames.

    It takes seconds and may be called in another thread.

    Parameters
    ----------
    image, report
        The image, and its `report_of`.
    series
        Folder or a file of the series that the image was read from.
    path
        File to write; the segmentations are beside it, see
        `napari_flomo.reports.structured_report_files`.

    Returns
    -------
    str
        What to show to the user.

    Raises
    ------
    FlomoError
        If it cannot be made or written.
    """
    notes: list[str] = []
    source = image.volume.source
    proposed = image.require_segmentation().labels.data
    files = structured_report_files(
        report,
        path,
        [series],
        series=source if source.startswith("dicom-") else None,
        corrected=not np.array_equal(report.labels[0].data, proposed),
        note=notes.append,
    )
    write_all(files)
    wrote = ", ".join(str(file) for file, _ in files)
    return " ".join((messages.SAVED_TO.format(wrote), *notes))
