"""Whether what was measured can be a heart: a wrong spacing gives wrong labels and millilitres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.measures.heart import HeartCodes
from napari_flomo.measures.structures import MM3_PER_ML
from napari_flomo.models.card import ModelCard
from napari_flomo.volumes import Volume

SMALLEST_PIXEL_MM, LARGEST_PIXEL_MM = 0.3, 3.0
"""Cardiac MRI is reconstructed to 0.5 to 2.5 mm; beyond these limits a factor must be wrong."""

SMALLEST_PART_ML, LARGEST_PART_ML = 5.0, 1000.0
"""Of each part of the heart, on average: a cavity of a newborn holds about 8 ml at the end of
diastole, and cavities that are dilated most hold about 600 ml."""

FEWEST_SLICES = 3
"""Of fewer slices a small part of the heart may be all there is."""


def implausible(
    labels: Volume,
    card: ModelCard,
    frames: Sequence[int] | None = None,
    *,
    complete: bool = True,
) -> tuple[str, ...]:
    """Say what about labels of a heart suggests that the spacing of their image is wrong.

    Parameters
    ----------
    labels
        What was segmented, on the grid of the image.
    card
        Of the model. One that knows no ventricle is not judged.
    frames
        Those that were segmented; all by default.
    complete
        Whether all slices of these were.

    Returns
    -------
    tuple of str
        Sentences for the user; empty where nothing is strange or millimetres are unknown.
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
    total = max(voxels, default=0) * float(np.prod(labels.geometry.spacing)) / MM3_PER_ML
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
