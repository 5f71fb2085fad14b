"""The report of an open image."""

from __future__ import annotations

from napari_flomo.measures import measure_study
from napari_flomo.reports import Report
from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.phases import segmented_frames


def report_of(image: OpenImage) -> Report:
    """Return the report of the current labels of an image; nothing of the person is filled in.

    Raises `FlomoError` if the image was not segmented.
    """
    segmentation = image.require_segmentation()
    assert image.labels is not None
    frames, whole = segmented_frames(image)
    measures = measure_study(
        image.labels,
        segmentation.card.labels,
        phases=image.phases,
        frames=frames,
        whole=whole,
    )
    review = image.review
    accepted = (
        "" if review is None else messages.ACCEPTED_OF.format(review.accepted, len(review.order))
    )
    return Report(
        measures,
        [image.labels],
        segmentation.card.labels,
        [image.volume],
        segmentation.card,
        accepted=accepted,
    )
