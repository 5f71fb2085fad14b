"""Measures of the heart, and remarks about an image and its labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_flomo.measures import (
    SLICE_THICKNESS_UNKNOWN,
    Flag,
    HeartCodes,
    HeartFlags,
    HeartMeasures,
    MeasuredLabels,
    VolumeCurve,
    VoxelCounts,
    heart_of_cine,
    implausible,
    volume_curves,
)
from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.model_choice import choice_problems
from napari_flomo.session.phases import segmented_frames

_SAMPLED = 1_000_000  # voxels of a large image


def counts_of(image: OpenImage, frames: Iterable[int]) -> VoxelCounts | None:
    """Count the current labels of frames by the image's conventions; None before the first run.

    Frames that are not named may have other counts. A frame takes a few milliseconds where the
    conventions count other voxels than those labelled, and next to nothing if it did not change.
    """
    if image.segmentation is None or image.counts is None or image.labels is None:
        return None
    conventions, counts = image.conventions, image.counts.by(image.conventions, image.volume)
    codes = HeartCodes.of(image.segmentation.card.labels)
    colours = conventions.need_image and "channels" in image.volume.axes
    if codes is None or colours or not conventions.change_labels:
        return counts
    measured = image.measured
    if measured is None or not measured.fits(counts, codes):
        image.measured = measured = MeasuredLabels(counts, codes)
    shape = (-1, *image.volume.spatial_shape)
    labels = image.labels.data.reshape(shape)
    grey = image.volume.data.reshape(shape) if conventions.need_image else None
    for frame in frames:
        measured.update(frame, labels[frame], None if grey is None else grey[frame])
    return measured.counts


def unknown_measures(image: OpenImage) -> str:
    """Return why the conventions give no volumes for an image; empty if they do."""
    known = image.volume.slice_thickness is not None
    return SLICE_THICKNESS_UNKNOWN if image.conventions.need_thickness and not known else ""


def heart_of(image: OpenImage) -> HeartMeasures | None:
    """Measure the current labels of an image; see `Session.measures`."""
    if image.segmentation is None or image.counts is None:
        return None
    codes = HeartCodes.of(image.segmentation.card.labels)
    if codes is None:
        return None
    counts = counts_of(image, image.phases.among(segmented_frames(image)[0]))
    return None if counts is None else _heart(image, counts, codes)


def curves_of(image: OpenImage) -> tuple[VolumeCurve, ...]:
    """Return the volume-time curves of the current labels; see `Session.curves`.

    Frames of which only a part is segmented are left out: their volumes are too small.
    """
    if image.segmentation is None or image.counts is None or image.volume.n_frames < 2:
        return ()
    codes = HeartCodes.of(image.segmentation.card.labels)
    whole = segmented_frames(image)[1]
    counts = counts_of(image, whole)
    return () if codes is None or counts is None else volume_curves(counts, codes, whole)


def remarks_of(image: OpenImage) -> tuple[str, ...]:
    """Return notes of the reader of an image and of its run, and what is implausible about it."""
    if image.segmentation is None:
        return image.volume.notes
    notes = (*image.volume.notes, *choice_problems(image.segmentation.manifest))
    if not image.segmentation.labels.data.any():
        values = image.volume.data.ravel()[:: max(1, image.volume.data.size // _SAMPLED)]
        same = bool((values == values[0]).all())
        return (*notes, messages.ONE_VALUE if same else messages.NOTHING_FOUND)
    _frames, whole = segmented_frames(image)
    found = implausible(
        image.segmentation.labels, image.segmentation.card, whole, complete=bool(whole)
    )
    return (*notes, *found)


def flags_of(image: OpenImage) -> tuple[Flag, ...]:
    """Return what contradicts anatomy in the current labels of an image.

    Of a cine, end diastole and end systole are checked. The first call takes some milliseconds a
    slice, later ones next to nothing for slices that did not change.
    """
    if image.segmentation is None or image.labels is None or image.counts is None:
        return ()
    codes = HeartCodes.of(image.segmentation.card.labels)
    if codes is None:
        return ()
    if image.shapes is None or image.shapes.codes != codes:
        image.shapes = HeartFlags(codes)
    segmented, _whole = segmented_frames(image)
    frames = image.phases.among(segmented)
    done = np.isfinite(image.segmentation.slice_scores)
    stacks = image.labels.data.reshape(image.labels.n_frames, *image.labels.spatial_shape)
    for frame in frames:
        for number, pixels in enumerate(stacks[frame]):
            if done[frame, number] or pixels.any():
                image.shapes.update(frame, number, pixels)
    return image.shapes.flags(_heart(image, image.counts, codes), frames)


def _heart(image: OpenImage, counts: VoxelCounts, codes: HeartCodes) -> HeartMeasures:
    frames, whole = segmented_frames(image)
    return heart_of_cine(counts, codes, image.phases, frames=frames, whole=whole)
