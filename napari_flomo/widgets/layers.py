"""Convert between napari's layers and volumes.

napari's world has the order of the array, (slices, rows, columns) in mm; ours is (x, y, z) in LPS.
A layer that our reader made carries its true volume in ``metadata["flomo"]``, because napari shows
a stack along its own axes, however the scanner was turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.session import image_name, messages
from napari_flomo.volumes import (
    Geometry,
    Order,
    Volume,
    arrange,
    fill_background,
    inverse,
    transposed,
)

if TYPE_CHECKING:
    from napari.layers import Image, Layer

KEY = "flomo"
"""Where a layer's metadata holds its `Volume` (images) or `Grid` (results)."""

SAVED = "flomo_saved"
"""Where the metadata of a labels layer holds a function to call when it was saved."""

TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "axis_labels", "units")
"""The properties that say where napari draws a layer."""


@dataclass(frozen=True)
class Grid:
    """The grid of an image without its voxels, on which results are saved.

    Attributes
    ----------
    template
        A volume of one shared zero in the shape of the image (without channels).
    ndim
        Dimensions of the layers on this grid; 2 for a single image, whose slice axis is dropped.
    order
        For slices, rows and columns of the image, which of the last three dimensions of the layers
        each of them is.
    """

    template: Volume
    ndim: int
    order: Order = (0, 1, 2)

    @classmethod
    def of(cls, volume: Volume, ndim: int | None = None, order: Order = (0, 1, 2)) -> Grid:
        """Return the grid of a volume."""
        axes = tuple(name for name in volume.axes if name not in ("channels", "classes"))
        shape = tuple(volume.length(name) for name in axes)
        empty = np.broadcast_to(np.uint8(0), shape)
        template = replace(volume, data=empty, axes=axes)
        return cls(template, len(axes) if ndim is None else ndim, order)

    @classmethod
    def below(cls, layer: Image, volume: Volume) -> Grid:
        """Return the grid of a volume for results on the layer that it was made of."""
        return cls.of(volume, layer.ndim, order_on(layer, volume))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the layers on this grid."""
        shape = self._in_layer(self.template.data).shape
        return shape[1:] if self.ndim == len(shape) - 1 else shape

    def volume(self, data: NDArray[Any]) -> Volume:
        """Put the data of a layer on this grid.

        Raises `FlomoError` if its shape is not the grid's.
        """
        if data.shape != self.shape:
            raise FlomoError(
                f"The layer has the shape {_by(data.shape)}, but its image has {_by(self.shape)}; "
                "crop or resample nothing before you save, or segment the new image."
            )
        return self.template.with_data(self.array(data))

    def array(self, data: NDArray[Any]) -> NDArray[Any]:
        """Return the data of a layer with the axes of the image; a view."""
        whole = data.reshape(self._in_layer(self.template.data).shape)
        return transposed(whole, self.order, whole.ndim - 3)

    def layer_data(self, volume: Volume) -> NDArray[Any]:
        """Return the voxels of a volume on this grid as a layer shows them, without copying."""
        return self.layer_array(volume.data)

    def layer_array(self, data: NDArray[Any]) -> NDArray[Any]:
        """Return an array with the axes of the image as a layer shows it; a view."""
        return self._in_layer(data).reshape(self.shape)

    def flat_indices(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Convert flat indices into a layer to those into an array with the axes of the image."""
        if self.order == (0, 1, 2):
            return indices
        shape = self.shape
        places = list(np.unravel_index(indices, shape))
        first = len(shape) - 3
        places[first:] = [places[first + axis] for axis in self.order]
        flat: NDArray[np.int64] = np.ravel_multi_index(places, self.template.data.shape)
        return flat

    def _in_layer(self, data: NDArray[Any]) -> NDArray[Any]:
        return transposed(data, inverse(self.order), data.ndim - 3)


def layer_of_volume(volume: Volume) -> dict[str, Any]:
    """Return how napari shows a volume: the arguments of an image layer, without the data.

    Steps are millimetres where the file knows them; frames are counted. The true geometry goes
    along in the metadata.
    """
    spacing = volume.geometry.spacing[::-1]
    moving = "frames" in volume.axes
    known = volume.geometry.spacing_known
    unit = "mm" if known else "pixel"
    return {
        "name": image_name(volume),
        "scale": (1.0, *spacing) if moving else spacing,
        "units": ("pixel", unit, unit, unit) if moving else (unit, unit, unit),
        "axis_labels": tuple(name for name in volume.axes if name != "channels"),
        "metadata": {KEY: volume},
    }


def volume_of_layer(
    layer: Image, slice_axis: str | None = None, *, fill_everywhere: bool = False
) -> Volume:
    """Return the image of a layer with the geometry that is known best.

    That is the file's own for a layer of our reader (with the layer's scale, if that was changed
    since to correct a wrong spacing), and for all others scale, rotation, translation and
    affine together. Of a multiscale image the finest level is taken; a lazy array is computed.

    Parameters
    ----------
    layer
        2-D (rows, columns), 3-D (slices, rows, columns) or 4-D (frames first); grey or RGB. Slices,
        rows and columns may come in any order if the scale identifies the slices.
    slice_axis
        Along which axis the slices lie, where that is not clear, see `napari_flomo.volumes.read`.
    fill_everywhere
        Whether voxels without a value within the image are background, see `fill_background`.

    Raises
    ------
    FlomoError
        If the layer is sheared, has another number of dimensions or values that are no image;
        `MissingValues` if some are missing within the image.
    """
    name = layer.name
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    if data.dtype.kind == "b":
        raise FlomoError(messages.NO_GREY_VALUES.format(name))
    volume = _arranged(layer, data, slice_axis)
    return fill_background(volume, name, everywhere=fill_everywhere)


def layout_of(layer: Image, slice_axis: str | None = None) -> Volume:
    """Return what `volume_of_layer` would return, with zeros for voxels: nothing is computed.

    Raises
    ------
    FlomoError
        As `volume_of_layer`, but for the values.
    """
    return _arranged(layer, np.broadcast_to(np.uint8(0), shape_of(layer)), slice_axis)


def order_on(layer: Image, volume: Volume) -> Order:
    """Return for slices, rows and columns of an image which dimension of its layer each of them is.

    The last three dimensions are counted from 0; ``volume`` is that of `volume_of_layer`.
    """
    known = _known(layer, shape_of(layer))
    base = (0, 1, 2) if known is None else known.storage
    first, second, third = (base.index(axis) for axis in volume.storage)
    return first, second, third


def _arranged(layer: Image, data: NDArray[Any], slice_axis: str | None) -> Volume:
    """Return the volume of a layer with the slices first."""
    known = _known(layer, data.shape)
    if known is not None:
        geometry = _rescaled(known.geometry, layer.scale)
        volume = replace(known, data=data, geometry=geometry)
        return volume if slice_axis is None else arrange(volume, slice_axis)
    axes = axes_of(layer)
    fields: dict[str, Any] = {"modality": "photo"} if layer.rgb else {}
    geometry = geometry_of_layer(layer)
    volume = Volume.from_array(data, axes=axes, geometry=geometry, source=layer.name, **fields)
    return volume if layer.rgb or layer.ndim < 3 else arrange(volume, slice_axis)


def _known(layer: Image, shape: tuple[int, ...]) -> Volume | None:
    """Return the volume that our reader made a layer of."""
    known = layer.metadata.get(KEY)
    return known if isinstance(known, Volume) and known.data.shape == shape else None


def shape_of(layer: Layer) -> tuple[int, ...]:
    """Return the shape of a layer's data, of the finest level if it is multiscale."""
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape)


def axes_of(layer: Image) -> tuple[str, ...]:
    """Return what the dimensions of an image layer's data mean, channels last where it has any.

    Raises `FlomoError` if it has fewer than two or more than four dimensions.
    """
    if not 2 <= layer.ndim <= 4:
        raise FlomoError(
            f"{layer.name} has {layer.ndim} dimensions; FLoMo takes 2 (rows, columns), 3 (slices, "
            "rows, columns) or 4 (frames first): take a part of it first."
        )
    axes = ("frames", "slices", "rows", "columns")[-layer.ndim :]
    return (*axes, "channels") if getattr(layer, "rgb", False) else axes


def geometry_of_layer(layer: Layer | Mapping[str, Any], name: str | None = None) -> Geometry:
    """Combine scale, shear, rotation, translation and affine of a layer into a geometry.

    ``layer`` may be its state, as a writer gets it; ``name`` is for error messages. Raises
    `FlomoError` if the result is sheared, or mixes frames with space.
    """
    from napari.utils.transforms import Affine

    state = layer if isinstance(layer, Mapping) else {key: getattr(layer, key) for key in TRANSFORM}
    who = name or str(state.get("name") or getattr(layer, "name", "The layer"))
    own = Affine(
        scale=state["scale"],
        translate=state["translate"],
        rotate=state["rotate"],
        shear=state["shear"],
    )
    outer = np.asarray(getattr(state["affine"], "affine_matrix", state["affine"]), float)
    matrix = outer @ own.affine_matrix
    ndim = len(matrix) - 1
    steps, shift = matrix[:ndim, :ndim], matrix[:ndim, ndim]
    if ndim > 3:
        before = ndim - 3
        if np.any(steps[:before, before:]) or np.any(steps[before:, :before]):
            raise FlomoError(
                f"The transform of {who} mixes frames with space; reset the layer's affine and "
                "rotation in the first dimension."
            )
        steps, shift = steps[before:, before:], shift[before:]
    elif ndim == 2:
        whole = np.eye(3)
        whole[1:, 1:] = steps
        steps, shift = whole, np.array([0.0, *shift])
    factor, in_mm = _millimetres(state.get("units"))
    if not in_mm and np.array_equal(steps, np.eye(3)) and not shift.any():
        return Geometry.unknown()
    affine = np.eye(4)
    affine[:3, :3] = steps[::-1, ::-1] * factor  # both orders, ours is (x, y, z)
    affine[:3, 3] = shift[::-1] * factor
    try:
        return Geometry.from_affine_lps(affine)
    except FlomoError as error:
        raise FlomoError(f"{who} cannot be placed in space: {error}") from error


def transform_of(layer: Layer) -> dict[str, Any]:
    """Return the arguments that draw another layer exactly where this one is."""
    return {key: getattr(layer, key) for key in TRANSFORM}


def describe(layer: Image, slice_axis: str | None = None) -> str:
    """Describe a layer in one line, without computing its voxels."""
    try:
        axes = axes_of(layer)
        geometry_of_layer(layer)
        layout = layout_of(layer, slice_axis)
    except FlomoError as error:
        return str(error)
    data = layer.data[0] if layer.multiscale else layer.data
    parts = [messages.layout_text(layout, layout.n_frames if "frames" in axes else None)]
    if layer.rgb:
        parts.append("colour")
    if layer.multiscale:
        parts.append("multiscale: the finest level is taken")
    if is_lazy(layer):
        parts.append(f"lazy, {size_text(data)} in memory: computed when you click Segment")
    return ", ".join(parts)


def is_lazy(layer: Image) -> bool:
    """Return True if the voxels of a layer have to be computed first, as those of dask."""
    data = layer.data[0] if layer.multiscale else layer.data
    return hasattr(data, "dask") or hasattr(data, "compute")


def size_text(data: Any) -> str:
    """Return the size of an array in memory as text."""
    size = float(getattr(data, "nbytes", 0))
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.1f} MB"


def _rescaled(geometry: Geometry, scale: NDArray[np.floating]) -> Geometry:
    """Apply a scale that was changed in the viewer; origin and direction stay."""
    z, y, x = (float(step) for step in scale[-3:])
    if np.allclose((x, y, z), geometry.spacing, rtol=1e-6, atol=0):
        return geometry
    return replace(geometry, spacing=(x, y, z), spacing_known=True)


def _millimetres(units: Any) -> tuple[float, bool]:
    """Return mm per unit of the columns, and whether the unit is a length at all."""
    if units is None:
        return 1.0, False
    unit = units[-1]
    if hasattr(unit, "is_compatible_with") and unit.is_compatible_with("mm"):
        return float((1.0 * unit).to("mm").magnitude), True
    return 1.0, False


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
