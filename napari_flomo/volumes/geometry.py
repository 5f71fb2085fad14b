"""The geometry of a grid in patient coordinates, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_flomo.errors import FlomoError

SMALLEST_SPACING_MM = 1e-3
LARGEST_SPACING_MM = 1e3
LARGEST_ORIGIN_MM = 1e6

# Headers store directions in 4 to 7 digits. A cosine of 1e-3 between two axes is 0.06 degrees, or
# 0.2 mm at the end of a 200 mm field of view.
SHEAR_TOLERANCE = 1e-3

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Geometry:
    """Spacing, origin and direction of a 3-D grid, in the conventions of ITK and DICOM.

    Index order is (column, row, slice), world order is (x, y, z) in LPS: x grows to the patient's
    left, y to the back, z to the head.

    Parameters
    ----------
    spacing
        Steps between neighbouring columns, rows and slices in mm.
    origin
        Centre of voxel (0, 0, 0) in mm, LPS.
    direction
        Nine numbers, row-major 3x3. Its columns are the unit vectors of the column, row and slice
        index axes. Left-handed directions are allowed, sheared ones are not.
    spacing_known
        False for files without a pixel size (photos); spacing is then 1 and means pixels, so
        measurements on this grid are not in mm or ml.

    Raises
    ------
    FlomoError
        If a number is not finite, a spacing is outside 0.001 to 1000 mm, or the axes are sheared.
    """

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = _IDENTITY
    spacing_known: bool = True

    def __post_init__(self) -> None:
        for name, length in (("spacing", 3), ("origin", 3), ("direction", 9)):
            values = _floats(getattr(self, name), length, name)
            object.__setattr__(self, name, values)
        _check_spacing(self.spacing)
        if max(abs(value) for value in self.origin) > LARGEST_ORIGIN_MM:
            raise FlomoError(
                f"The image's origin {_mm(self.origin)} mm lies more than a kilometre away; "
                "repair the header or export the image again."
            )
        matrix = self.direction_matrix
        if not np.allclose(matrix.T @ matrix, np.eye(3), rtol=0, atol=SHEAR_TOLERANCE):
            raise FlomoError(
                "The image's axes are not at right angles to each other (a sheared or degenerate "
                "direction matrix); resample the image to an orthogonal grid first."
            )

    @classmethod
    def unknown(cls) -> Geometry:
        """Return the grid of an image without spacing, such as a photo."""
        return cls((1.0, 1.0, 1.0), spacing_known=False)

    @classmethod
    def from_affine_lps(cls, affine: ArrayLike) -> Geometry:
        """Create a geometry from an affine to LPS mm.

        Parameters
        ----------
        affine
            4x4, maps index (column, row, slice, 1) to LPS mm.

        Raises
        ------
        FlomoError
            If the affine is not finite, has a zero axis or is sheared.
        """
        matrix = np.asarray(affine, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise FlomoError(
                "The image's affine is not a finite 4x4 matrix; repair the header or export again."
            )
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        _check_spacing(spacing.tolist())
        # Adding zero turns -0.0 into 0.0, so that equal grids print equally.
        direction = matrix[:3, :3] / spacing + 0.0
        origin = matrix[:3, 3] + 0.0
        x, y, z = spacing.tolist()
        return cls((x, y, z), tuple(origin.tolist()), tuple(direction.ravel().tolist()))

    @classmethod
    def from_affine_ras(cls, affine: ArrayLike) -> Geometry:
        """As `from_affine_lps`, for an affine to RAS mm (NIfTI, nibabel)."""
        matrix = np.array(affine, dtype=np.float64)
        matrix[:2] *= -1
        return cls.from_affine_lps(matrix)

    @property
    def direction_matrix(self) -> NDArray[np.float64]:
        """3x3; columns are the unit vectors of the column, row and slice axes."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3)

    def affine_lps(self) -> NDArray[np.float64]:
        """4x4 matrix from index (column, row, slice, 1) to LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = self.direction_matrix * np.array(self.spacing)
        affine[:3, 3] = self.origin
        return affine

    def affine_ras(self) -> NDArray[np.float64]:
        """4x4 matrix from index (column, row, slice, 1) to RAS mm, as NIfTI stores it."""
        return _LPS_TO_RAS @ self.affine_lps() + 0.0

    def positions(self, index: ArrayLike) -> NDArray[np.float64]:
        """Return the LPS mm of indices.

        Parameters
        ----------
        index
            (..., 3) in the order (column, row, slice); fractions are allowed.
        """
        affine = self.affine_lps()
        result: NDArray[np.float64] = np.asarray(index) @ affine[:3, :3].T + affine[:3, 3]
        return result

    def same_space(self, other: Geometry, tolerance: float = 1e-4) -> bool:
        """Return True if two grids have the same spacing and position.

        Parameters
        ----------
        other
            The grid to compare with.
        tolerance
            Largest difference of origin and steps, as a fraction of the smallest spacing.
        """
        limit = tolerance * min(*self.spacing, *other.spacing)
        return self.spacing_known == other.spacing_known and bool(
            np.allclose(self.affine_lps(), other.affine_lps(), rtol=0, atol=limit)
        )


def _floats(values: Sequence[float], length: int, name: str) -> tuple[float, ...]:
    """Return plain finite floats, so that numpy scalars and lists compare and print equally."""
    numbers = tuple(float(value) for value in values)
    if len(numbers) != length or not np.isfinite(numbers).all():
        raise FlomoError(
            f"The image's {name} must be {length} finite numbers, not {_mm(numbers)}; repair the "
            "header or export the image again."
        )
    return numbers


def _check_spacing(spacing: Sequence[float]) -> None:
    for step, axis in zip(spacing, ("columns", "rows", "slices"), strict=True):
        if not SMALLEST_SPACING_MM <= step <= LARGEST_SPACING_MM:  # also false for NaN
            raise FlomoError(
                f"The image's spacing between {axis} is {step:g} mm, which cannot be right "
                f"({SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm are accepted); "
                "repair the header or export the image again."
            )


def _mm(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
