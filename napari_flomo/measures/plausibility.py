"""Check whether measured labels can be a heart: a wrong spacing gives wrong labels and volumes."""

from __future__ import annotations

from collections.abc import Sequence

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.models import ModelCard
from napari_flomo.volumes import Volume

SMALLEST_PIXEL_MM, LARGEST_PIXEL_MM = 0.3, 3.0
"""Cardiac MRI is reconstructed to 0.5 to 2.5 mm; beyond these limits it must be wrong."""

SMALLEST_PART_ML, LARGEST_PART_ML = 5.0, 1000.0
"""Average per part of the heart: a ventricle of a newborn has about 8 ml at end-diastole, extremely
dilated ones about 600 ml."""

FEWEST_SLICES = 3
"""Fewer slices may show only a small part of the heart."""


def implausible(
    labels: Volume, card: ModelCard, frames: Sequence[int] | None = None, *, complete: bool = True
) -> tuple[str, ...]:
    """Return warnings if labels of a heart suggest a wrong spacing.

    Parameters
    ----------
    labels
        The segmentation, on the grid of the image.
    card
        Of the model; models without ventricles are not checked.
    frames
        Frames that were segmented; all by default.
    complete
        Whether all of their slices were segmented.

    Returns
    -------
    tuple of str
        Sentences for the user; empty if nothing is implausible or the spacing is unknown.
    """
    codes = HeartCodes.of(card.labels)
    if codes is None or not labels.geometry.spacing_known:
        return ()
    sentences = []
    row_step, column_step = labels.in_plane_spacing
    if not all(SMALLEST_PIXEL_MM <= step <= LARGEST_PIXEL_MM for step in (row_step, column_step)):
        sentences.append(
            f"Pixels of {row_step:.3g} x {column_step:.3g} mm are not those of a cardiac image "
            f"({SMALLEST_PIXEL_MM:g} to {LARGEST_PIXEL_MM:g} mm are usual); labels and volumes are "
            "wrong if the spacing is, so check it."
        )
    if not complete:
        return tuple(sentences)
    known = (codes.left_ventricle, codes.right_ventricle, codes.myocardium)
    parts = [code for code in known if code is not None]
    chosen = range(labels.n_frames) if frames is None else frames
    counts = VoxelCounts.of(labels, parts)
    voxels = [sum(counts.voxels(code, frame) for code in parts) for frame in chosen]
    total = max(voxels, default=0) * (counts.ml_per_voxel or 0)
    smallest, largest = (limit * len(parts) for limit in (SMALLEST_PART_ML, LARGEST_PART_ML))
    if total < smallest and labels.n_slices >= FEWEST_SLICES:
        sentences.append(
            f"The labelled heart has {total:.3g} ml, less than that of a newborn ({smallest:g} "
            "ml); check the spacing of the image, and whether it shows a whole heart."
        )
    elif total > largest:
        sentences.append(
            f"The labelled heart has {total:.4g} ml, more than any heart ({largest:g} ml); check "
            "the spacing of the image."
        )
    return tuple(sentences)
