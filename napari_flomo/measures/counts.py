"""Count the voxels of every label in every slice, with incremental updates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures.conventions import Conventions
from napari_flomo.volumes import Volume

MM3_PER_ML = 1000.0


class VoxelCounts:
    """Number of voxels of each label in each slice of each frame.

    Counting a slice takes less than a millisecond, a whole cine much longer. A viewer counts once
    and then updates the slices that change.

    Parameters
    ----------
    counts
        ``(frames, slices, codes)``.
    codes
        Codes of the labels, in the order of the last axis.
    ml_per_voxel
        None if the spacing is unknown, or the slice thickness if the conventions need it.
    conventions
        How millilitres and mass are computed.
    gap
        Fraction of the distance between slices that no slice covers; 0 where gaps are included.
    """

    def __init__(
        self,
        counts: NDArray[np.int64],
        codes: tuple[int, ...],
        ml_per_voxel: float | None,
        conventions: Conventions | None = None,
        gap: float = 0.0,
    ) -> None:
        self._counts = counts
        self.codes = codes
        self.ml_per_voxel = ml_per_voxel
        self.conventions = conventions or Conventions()
        self.gap = gap

    @classmethod
    def of(cls, labels: Volume, codes: Iterable[int]) -> Self:
        """Count all slices of a label image; raise `FlomoError` unless it is of an integer type."""
        if labels.data.dtype.kind not in "iu":
            raise FlomoError("Structures can be measured in label images only, not in grey values.")
        wanted = tuple(codes)
        counts = np.zeros((labels.n_frames, labels.n_slices, len(wanted)), np.int64)
        geometry = labels.geometry
        ml = float(np.prod(geometry.spacing)) / MM3_PER_ML if geometry.spacing_known else None
        result = cls(counts, wanted, ml)
        stack = labels.data.reshape(labels.n_frames, *labels.spatial_shape)
        for frame, image in enumerate(stack):
            for number, pixels in enumerate(image):
                result.update(frame, number, pixels)
        return result

    def by(self, conventions: Conventions, labels: Volume) -> VoxelCounts:
        """Return the same counts, measured by conventions on the grid of ``labels``.

        The counts stay those of this object: an `update` of either is one of both.
        """
        ml, gap, thickness = self.ml_per_voxel, 0.0, labels.slice_thickness
        if conventions.need_thickness and thickness is None:
            ml = None
        elif conventions.need_thickness and thickness is not None:
            gap = max(0.0, 1 - thickness / labels.geometry.spacing[2])  # slices may overlap
        return VoxelCounts(self._counts, self.codes, ml, conventions, gap)

    def copy(self) -> VoxelCounts:
        """Return counts that are updated independently."""
        counts = self._counts.copy()
        return VoxelCounts(counts, self.codes, self.ml_per_voxel, self.conventions, self.gap)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self._counts.shape[0])

    def update(self, frame: int, slice_: int, pixels: NDArray[np.integer]) -> None:
        """Update the counts of one slice; ``pixels`` are its labels, ``(rows, columns)``."""
        for position, code in enumerate(self.codes):
            self._counts[frame, slice_, position] = np.count_nonzero(pixels == code)

    def slice_voxels(self, code: int, frame: int, slice_: int) -> int:
        """Return the voxels of a label in a slice of a frame."""
        return int(self._counts[frame, slice_, self.codes.index(code)])

    def voxels(self, code: int, frame: int) -> int:
        """Return the voxels of a label in a frame."""
        return int(self._counts[frame, :, self.codes.index(code)].sum())

    def ml(self, code: int, frame: int) -> float | None:
        """Return the millilitres of a label in a frame; None if they cannot be known."""
        if self.ml_per_voxel is None:
            return None
        if not self.gap:
            return self.voxels(code, frame) * self.ml_per_voxel
        areas = self._counts[frame, :, self.codes.index(code)]
        covered = float(areas.sum()) * (1 - self.gap)
        if self.conventions.slice_gaps == "interpolated":
            covered += float((areas[:-1] + areas[1:]).sum()) / 2 * self.gap
        return covered * self.ml_per_voxel
