"""Preprocessing to the grid of the network, and its inverse.

The model card determines all steps. Resampling keeps the extent of the image: its outer edges stay
where they are and n pixels become m, so the inverse is exact and nothing shifts, even if the pixel
sizes do not divide. All functions are pure; training uses them, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, Preprocessing
from napari_flomo.segmentation.resampling import Axis, Floats, make_axis, resample, resize

SMALLEST_SIDE = 16
"""Pixels; with fewer on the network's grid, the spacing must be wrong."""

LARGEST_SIDE = 4096
"""Pixels; with more on the network's grid, the spacing must be wrong."""


@dataclass(frozen=True)
class Plan:
    """Sizes and offsets of the preprocessing of a slice and its inverse.

    Attributes
    ----------
    native
        Rows and columns of the image.
    resampled
        Rows and columns after resampling.
    network
        Rows and columns of the field of view of the network.
    offset
        Row and column of the resampled image where the field of view begins; negative if it is
        padded.
    """

    native: tuple[int, int]
    resampled: tuple[int, int]
    network: tuple[int, int]
    offset: tuple[int, int]


def make_plan(
    shape: tuple[int, int], in_plane_spacing: tuple[float, float], preprocessing: Preprocessing
) -> Plan:
    """Plan the preprocessing of an image; raise `FlomoError` if the spacing makes no sense.

    ``shape`` is rows and columns, ``in_plane_spacing`` the step between rows and the step between
    columns, in mm.
    """
    rows, columns = shape
    resampled = (rows, columns)
    if preprocessing.pixel_mm is not None:
        row_step, column_step = in_plane_spacing
        resampled = (
            max(1, round(rows * row_step / preprocessing.pixel_mm)),
            max(1, round(columns * column_step / preprocessing.pixel_mm)),
        )
    elif preprocessing.size is not None:
        scale = preprocessing.size / max(rows, columns)
        resampled = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    if min(resampled) < SMALLEST_SIDE or max(resampled) > LARGEST_SIDE:
        size = f"{resampled[0]} x {resampled[1]} pixels"
        if preprocessing.pixel_mm is None:
            has = "has" if preprocessing.size is None else "would have for the model"
            raise FlomoError(
                f"The image {has} {size}, but the model needs {SMALLEST_SIDE} to {LARGEST_SIDE} on "
                "each side; crop or resize it."
            )
        row_step, column_step = in_plane_spacing
        raise FlomoError(
            f"With its spacing of {row_step:g} x {column_step:g} mm the image would have {size} of "
            f"{preprocessing.pixel_mm:g} mm for the model, which cannot be right; check the "
            "spacing in its header."
        )
    side = preprocessing.crop
    network = resampled if side is None else (side, side)
    offset = ((resampled[0] - network[0]) // 2, (resampled[1] - network[1]) // 2)
    return Plan((rows, columns), resampled, network, offset)


def intensity_window(array: NDArray[Any], rule: IntensityRule) -> tuple[float, float]:
    """Return the intensities that become 0 and 1.

    Parameters
    ----------
    array
        All values of one frame. Percentiles are taken over the whole frame, so that a slice does
        not depend on the selection of slices.
    rule
        The card's rule.

    Raises
    ------
    FlomoError
        If a value is NaN or infinite.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise FlomoError(
            "The image holds values that are NaN or infinite; replace them (for example by 0) "
            "and try again."
        )
    low, high = np.percentile(array, (rule.low, rule.high))
    return float(low), float(high)


def to_network(slices: NDArray[Any], window: tuple[float, float], plan: Plan) -> Floats:
    """Resample and crop slices to the network's grid, with intensities between 0 and 1.

    ``(slices, rows, columns)``, or with colours ``(slices, rows, columns, channels)``, become
    float32 ``(slices, channels, rows, columns)``, 0 outside the image. ``window`` becomes 0 to 1,
    values outside are clipped; a constant image becomes 0.
    """
    low, high = window
    # Use float64 only where float32 is not exact (large integers).
    exact_in_float32 = slices.dtype.itemsize <= 2 or slices.dtype == np.float32
    values: NDArray[Any] = slices.astype(np.float32 if exact_in_float32 else np.float64)
    np.subtract(values, low, out=values)
    np.multiply(values, 1 / (high - low) if high > low else 0, out=values)
    np.clip(values, 0, 1, out=values)
    images = values.astype(np.float32, copy=False)
    images = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    return _placed(resize(images, plan.resampled), plan)


def network_input(
    array: NDArray[Any],
    chosen: Sequence[int],
    window: tuple[float, float],
    plan: Plan,
    neighbours: int,
) -> Floats:
    """Return the ``chosen`` slices of a frame on the network's grid, each with its neighbours.

    Takes what `to_network` takes and returns ``(chosen, channels, rows, columns)``. With neighbours
    the channels are slices in the order of the stack, the chosen one in the middle.
    """
    if not neighbours:
        return to_network(array[list(chosen)], window, plan)
    wanted = [range(index - neighbours, index + neighbours + 1) for index in chosen]
    needed = sorted({index for group in wanted for index in group if 0 <= index < len(array)})
    images = to_network(array[needed], window, plan)[:, 0]
    # Index 0 stands for slices beyond the stack.
    images = np.concatenate([np.zeros_like(images[:1]), images])
    positions = {index: position for position, index in enumerate(needed, start=1)}
    return images[np.array([[positions.get(index, 0) for index in group] for group in wanted])]


def prepare(
    array: NDArray[Any],
    in_plane_spacing: tuple[float, float],
    preprocessing: Preprocessing,
    slices: Sequence[int] | None = None,
) -> tuple[Floats, Plan]:
    """Preprocess one frame of a volume as the card requires.

    Parameters
    ----------
    array
        ``(slices, rows, columns)``, or with channels at the end.
    in_plane_spacing
        Step between rows and step between columns, in mm.
    preprocessing
        The card's rule.
    slices
        Which slices to return; all by default. Intensities are normalised over the whole frame.

    Returns
    -------
    images : ndarray
        Float32 ``(slices, channels, rows, columns)``, 0 to 1; neighbours are channels.
    plan : Plan
        For `restore`.

    Raises
    ------
    FlomoError
        If values are not finite or the spacing is absurd.
    """
    plan = make_plan((array.shape[1], array.shape[2]), in_plane_spacing, preprocessing)
    window = intensity_window(array, preprocessing.intensity)
    chosen = range(len(array)) if slices is None else slices
    images = network_input(array, chosen, window, plan, preprocessing.neighbours)
    return images, plan


def prepare_labels(labels: NDArray[Any], plan: Plan) -> NDArray[np.uint8]:
    """Resample and crop a label image to the network's grid, for training.

    Every code is resampled as a mask and the largest share of a pixel wins: this preserves thin
    walls better than nearest neighbours, and does not shift labels.

    Parameters
    ----------
    labels
        Integers ``(slices, rows, columns)``.
    plan
        From `prepare` of the image.

    Returns
    -------
    ndarray
        Uint8 codes ``(slices, rows, columns)``; 0 beyond the image.
    """
    codes = np.unique(labels)
    shares = np.stack([labels == code for code in codes], axis=1).astype(np.float32)
    winner = resize(shares, plan.resampled).argmax(1)
    return _placed(codes.astype(np.uint8)[winner], plan)


def restore(probabilities: Floats, plan: Plan, background: int | None = 0) -> Floats:
    """Resample class probabilities back to the native rows and columns.

    Parameters
    ----------
    probabilities
        ``(slices, classes, rows, columns)`` on the network's grid.
    plan
        From `prepare` of the image.
    background
        Channel of the background, which has probability 1 outside the field of view; None if it
        has no channel (sigmoid); then all are 0 there.

    Returns
    -------
    ndarray
        ``(slices, classes, rows, columns)`` of the image, contiguous. Sums over classes stay 1.
    """
    rows, columns = _axes(plan)
    top, left = plan.offset

    def empty(height: int, width: int) -> Floats:
        images = np.zeros((*probabilities.shape[:2], height, width), np.float32)
        if background is not None:
            images[:, background] = 1
        return images

    # The field of view, and the surrounding pixels that interpolation mixes with it.
    field = empty(rows.width, columns.width)
    seen = probabilities[:, :, rows.within(top), columns.within(left)]
    field[:, :, rows.within(rows.taps.start), columns.within(columns.taps.start)] = seen
    reached = resample(field, rows, columns)
    if reached.shape[-2:] == plan.native:
        return reached
    whole = empty(*plan.native)
    whole[:, :, rows.reach, columns.reach] = reached
    return whole


def reach(plan: Plan) -> tuple[slice, slice]:
    """Return the native rows and columns that the field of view influences.

    Elsewhere `restore` returns background.
    """
    rows, columns = _axes(plan)
    return rows.reach, columns.reach


def _placed(images: NDArray[Any], plan: Plan) -> NDArray[Any]:
    """Crop or pad resampled images to the field of view of the network; 0 outside the image."""
    if plan.network == plan.resampled and not any(plan.offset):
        return images
    result = np.zeros((*images.shape[:-2], *plan.network), images.dtype)
    inside, source = [], []
    for start, length, side in zip(plan.offset, plan.resampled, plan.network, strict=True):
        first, last = max(0, start), min(length, start + side)
        source.append(slice(first, last))
        inside.append(slice(first - start, last - start))
    result[..., inside[0], inside[1]] = images[..., source[0], source[1]]
    return result


def _axes(plan: Plan) -> tuple[Axis, Axis]:
    """Return the resampling of the rows and columns of the field of view."""
    smooth = plan.native[0] < plan.resampled[0] or plan.native[1] < plan.resampled[1]
    rows, columns = (
        make_axis(before, after, smooth, max(0, offset), min(before, offset + side))
        for before, after, side, offset in zip(
            plan.resampled, plan.native, plan.network, plan.offset, strict=True
        )
    )
    return rows, columns
