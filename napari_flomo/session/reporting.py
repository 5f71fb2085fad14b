"""The report of an open image."""

from __future__ import annotations

from napari_flomo.measures import measure_study
from napari_flomo.reports import Report
from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.phases import segmented_frames


def report_of(
    image: OpenImage,
    *,
    height_cm: float | None = None,
    weight_kg: float | None = None,
    patient: str = "",
) -> Report:
    """Return the report of the current labels of an image.

    Parameters
    ----------
    image
        A segmented image.
    height_cm, weight_kg
        Of the person, for values per body surface; unknown by default.
    patient
        Text for the head of the report; nothing is filled in.

    Raises
    ------
    FlomoError
        If the image was not segmented, or height and weight are implausible.
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
        height_cm=height_cm,
        weight_kg=weight_kg,
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
        patient=patient,
        accepted=accepted,
    )
