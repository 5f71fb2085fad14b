"""The image type: an array, the names of its axes and its geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.geometry import Geometry

AXES = ("classes", "frames", "slices", "rows", "columns", "channels")
"""Names of all axes in their order; a volume has some of them."""
SPATIAL_AXES = ("slices", "rows", "columns")
"""Names of the axes of the grid, which every volume has."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D image, or frames of one, on one grid.

    Parameters
    ----------
    data
        Array with one dimension per name in ``axes``; booleans become uint8.
    geometry
        Grid of the axes slices, rows and columns; the same for all frames. Its spacing is in ITK
        order, so it runs (columns, rows, slices), the reverse of the array.
    axes
        Names of the array's dimensions: a subset of ("classes", "frames", "slices", "rows",
        "columns", "channels") in this order. Slices, rows and columns are required; a photo has one
        slice. Classes are a network's, channels a photo's red, green, blue and alpha.
    modality
        DICOM modality ("MR", "CT", "US", ...), "photo", or None if unknown.
    source
        Short name of its origin, without folder and patient data.
    title
        Name for people, without patient data, of an image whose ``source`` is only a code, as that
        of a DICOM series; else empty.
    frame_step
        Seconds between frames, or None if unknown.
    extra
        Header fields for a writer to repeat (never text).
    notes
        Sentences for the user about how ambiguous input was interpreted, such as which of two
        contradictory spacings was used. They name no file, folder or patient.
    storage
        For slices, rows and columns, the axis of the stored array: (1, 0, 2) if the slices lie
        along the second of the stored axes (in array order). `write` restores that order.
    slice_thickness
        Thickness of the slices in mm, which is less than their distance if there are gaps; None if
        unknown.
    heart_cycles
        Durations of a heart cycle in seconds that the header states, each different one once; more
        than one if the slices were acquired at different heart rates.
    slice_axis_known
        False if the slice axis is ambiguous; the stored order is kept then, see
        `napari_flomo.volumes.slice_axis`.

    Raises
    ------
    FlomoError
        If names and dimensions do not match, an axis is empty, or values are not real numbers.
    """

    data: NDArray[Any]
    geometry: Geometry
    axes: tuple[str, ...] = SPATIAL_AXES
    modality: str | None = None
    source: str = ""
    frame_step: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    storage: tuple[int, int, int] = (0, 1, 2)
    slice_axis_known: bool = True
    title: str = ""
    slice_thickness: float | None = None
    heart_cycles: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        axes = tuple(self.axes)
        data = np.asarray(self.data)
        if axes != tuple(a for a in AXES if a in axes) or not set(SPATIAL_AXES) <= set(axes):
            raise FlomoError(
                f"The axes {axes} are not valid; name them in the order {AXES}, always with "
                f"{SPATIAL_AXES}."
            )
        if data.ndim != len(axes):
            raise FlomoError(
                f"An array of shape {data.shape} cannot have the axes {axes}; give one name for "
                "each of its dimensions."
            )
        if data.dtype.kind == "b":
            data = data.astype(np.uint8)
        if data.dtype.kind not in "iuf":
            raise FlomoError(
                f"The image's values are of type {data.dtype}, not real numbers; convert it to "
                "integers or floats first (for complex data, to its magnitude)."
            )
        for name, length in zip(axes, data.shape, strict=True):
            if length == 0:
                raise FlomoError(f"The image is empty: it has 0 {name}; export it again.")
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "data", data)

    @classmethod
    def from_array(
        cls,
        data: ArrayLike,
        spacing: Sequence[float] | None = None,
        axes: Sequence[str] | None = None,
        **fields: Any,
    ) -> Volume:
        """Create a volume from an array.

        Parameters
        ----------
        data
            2-D (rows, columns), 3-D (slices, rows, columns) or 4-D (frames, slices, rows,
            columns), unless ``axes`` says otherwise.
        spacing
            Millimetres between slices, rows and columns, the order of the **array** as in numpy and
            napari (`Geometry.spacing` is the reverse); two numbers for a single slice. By default
            unknown: 1 pixel.
        axes
            Names of the dimensions; slices may be left out for a single image.
        fields
            Further fields of `Volume`; ``geometry`` instead of ``spacing`` for a rotated or shifted
            grid.

        Raises
        ------
        FlomoError
            If the rank, axes, spacing or values are not valid for an image.
        """
        array = np.asarray(data)
        if axes is None:
            if not 2 <= array.ndim <= 4:
                raise FlomoError(
                    f"An array of {array.ndim} dimensions is not an image; give 2-D (rows, "
                    "columns), 3-D (slices, rows, columns) or 4-D (frames, slices, rows, columns)."
                )
            axes = ("frames", "slices", "rows", "columns")[-array.ndim :]
        names = tuple(axes)
        if "slices" not in names and "rows" in names and array.ndim == len(names):
            at = names.index("rows")
            names = (*names[:at], "slices", *names[at:])
            array = np.expand_dims(array, at)
        geometry = fields.pop("geometry", None)
        if geometry is None:
            geometry = _axis_aligned(spacing)
        elif spacing is not None:
            raise FlomoError("Give either spacing or geometry of an array, not both.")
        return cls(array, geometry, names, **fields)

    @property
    def n_frames(self) -> int:
        """Number of frames; 1 without a frames axis."""
        return self.length("frames")

    @property
    def n_slices(self) -> int:
        """Number of slices."""
        return self.length("slices")

    @property
    def in_plane_spacing(self) -> tuple[float, float]:
        """Step between rows and step between columns, in mm: the order of the array."""
        column_step, row_step, _ = self.geometry.spacing
        return row_step, column_step

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        return self.length("slices"), self.length("rows"), self.length("columns")

    def length(self, axis: str) -> int:
        """Return the length of a named axis, 1 if there is no such axis."""
        return int(self.data.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def frame(self, index: int) -> Volume:
        """Return one frame, without the frames axis.

        Parameters
        ----------
        index
            0 to ``n_frames`` - 1. A volume without frames has one, itself.

        Raises
        ------
        FlomoError
            If there is no such frame.
        """
        if not 0 <= index < self.n_frames:
            raise FlomoError(
                f"There is no frame {index}: {self.source or 'the volume'} has {self.n_frames} "
                "(counted from 0)."
            )
        if "frames" not in self.axes:
            return self
        axis = self.axes.index("frames")
        axes = tuple(name for name in self.axes if name != "frames")
        return replace(self, data=self.data.take(index, axis), axes=axes, frame_step=None)

    def with_data(
        self, data: ArrayLike, *, axes: Sequence[str] | None = None, **changes: Any
    ) -> Volume:
        """Return a volume of other values (labels, probabilities, uncertainty) on the same grid.

        Parameters
        ----------
        data
            Array with as many slices, rows, columns and (if it has a frames axis) frames as this
            volume.
        axes
            Its axes; by default those of this volume, without channels or frames if the array has
            fewer dimensions.
        changes
            Other fields of `Volume` to change, such as ``modality``.

        Raises
        ------
        FlomoError
            If the shape is not that of the grid.
        """
        array = np.asarray(data)
        if axes is None:
            without_channels = tuple(name for name in self.axes if name != "channels")
            candidates = (self.axes, without_channels, SPATIAL_AXES)
            fitting = (names for names in candidates if len(names) == array.ndim)
            axes = next(fitting, self.axes)
        result = replace(self, data=array, axes=tuple(axes), **changes)
        for name in ("frames", *SPATIAL_AXES):
            if name in result.axes and result.length(name) != self.length(name):
                raise FlomoError(
                    f"An array of shape {array.shape} does not lie on the grid of "
                    f"{self.source or 'the volume'}, which has {self.length(name)} {name}."
                )
        if "frames" not in result.axes and result.frame_step is not None:
            result = replace(result, frame_step=None)
        return result


def _axis_aligned(spacing: Sequence[float] | None) -> Geometry:
    """Return a grid along the patient's axes from a spacing in array order."""
    if spacing is None:
        return Geometry.unknown()
    steps = [float(step) for step in spacing]
    if len(steps) == 2:
        steps = [1.0, *steps]
    if len(steps) != 3:
        raise FlomoError(
            f"The spacing {tuple(steps)} must be three numbers in mm: between slices, rows and "
            "columns."
        )
    z, y, x = steps
    return Geometry((x, y, z))
