"""Check and prepare the input of a model."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.volumes import Volume, ask_for_axis


def check_input(volume: Volume, card: ModelCard) -> None:
    """Raise a `FlomoError` unless the volume suits the model.

    Kind, colours and spacing must suit the card, and the slice axis of a stack must be known. A
    single slice of a scanner is accepted as a stack; a photo is not.
    """
    if "classes" in volume.axes:
        raise FlomoError("These are probabilities of classes, not an image; give the image itself.")
    is_photo = volume.modality == "photo"
    if card.input_kind == "stack" and is_photo:
        raise FlomoError(
            f"{card.name} segments slices of medical volumes, but this is a photo; give a NIfTI, "
            "NRRD or DICOM image, or choose a model for photos."
        )
    if card.input_kind == "stack" and not volume.slice_axis_known:
        raise FlomoError(ask_for_axis(volume))
    if card.input_kind == "photo" and not is_photo and volume.n_slices > 1:
        raise FlomoError(
            f"{card.name} segments photos, but this is a stack of {volume.n_slices} slices; choose "
            "a model for volumes."
        )
    if card.preprocessing.pixel_mm is not None and not volume.geometry.spacing_known:
        raise FlomoError(
            f"{card.name} needs the pixel size in mm, but the image has none; save it in a format "
            "with spacing, or set the spacing."
        )
    channels = volume.length("channels") if "channels" in volume.axes else 1
    colours = 3 if channels == 4 else channels  # without alpha
    if colours not in (1, card.image_channels):
        wanted = "grey images" if card.image_channels == 1 else f"{card.image_channels} channels"
        raise FlomoError(
            f"{card.name} takes {wanted}, but this image has {channels} colour channels; convert "
            "it first or choose another model."
        )


def chosen_indices(wanted: Iterable[int] | None, length: int, noun: str) -> list[int]:
    """Return the indices to process, ascending and unique; raise `FlomoError` for invalid ones."""
    if wanted is None:
        return list(range(length))
    indices = sorted({operator.index(index) for index in wanted})
    if not indices:
        raise FlomoError(f"No {noun} was chosen; choose at least one.")
    for index in (indices[0], indices[-1]):
        if not 0 <= index < length:
            raise FlomoError(
                f"There is no {noun} {index}: the volume has {length}, counted from 0."
            )
    return indices


def with_channels(frame: Volume, card: ModelCard) -> NDArray[Any]:
    """Return one frame as ``(slices, rows, columns)`` or ``(..., channels)``, as the model needs.

    Alpha is dropped; grey is repeated for a model of several channels.
    """
    # Always in the same memory order, because the order affects rounding.
    data = np.ascontiguousarray(frame.data)
    if "channels" not in frame.axes:
        data = data[..., np.newaxis]
    if data.shape[-1] == 4 and card.image_channels != 4:
        data = data[..., :3]
    if data.shape[-1] == 1:
        shape = (*data.shape[:-1], card.image_channels)
        data = data[..., 0] if card.image_channels == 1 else np.broadcast_to(data, shape)
    return data
