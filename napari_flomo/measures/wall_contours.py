"""Inner and outer contour of the left ventricular wall in a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.measures.heart_codes import HeartCodes

POINT_STEP_MM = 0.5
SMOOTHING_PIXELS = 1.0
"""Standard deviation of the Gaussian that rounds the staircase of a mask's border."""

CONTACT_PIXELS = 2.5
"""The right ventricle meets the wall where its labels are this close to the outer contour."""

SMALLEST_CONTACT = np.radians(25)


@dataclass(frozen=True)
class WallContours:
    """Contours of a slice as points (row, column) in mm, ``(points, 2)``.

    Attributes
    ----------
    inner, outer
        Border of the cavity and of cavity and wall together.
    walled
        Which points of ``inner`` have wall between the cavity and the outside.
    step
        Millimetres per row and column.
    """

    inner: NDArray[np.float64]
    outer: NDArray[np.float64]
    walled: NDArray[np.bool_]
    step: NDArray[np.float64]

    @property
    def enclosed(self) -> float:
        """Fraction of the cavity's border that is enclosed by wall."""
        return float(self.walled.mean())

    def angle_of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the angles of points (row, column) in mm about the centre of the cavity."""
        rows, columns = np.moveaxis(points - self.inner.mean(axis=0), -1, 0)
        return np.arctan2(rows, columns)


def trace_wall(
    pixels: NDArray[np.integer], codes: HeartCodes, spacing: tuple[float, float]
) -> WallContours | None:
    """Trace the wall in the labels of a slice, ``(rows, columns)``; None without cavity or wall.

    ``spacing`` is in mm per row and column.
    """
    cavity, wall = pixels == codes.left_ventricle, pixels == codes.myocardium
    if not cavity.any() or not wall.any():
        return None
    step = np.array(spacing)
    inner, outer = _contour(cavity, step), _contour(cavity | wall, step)
    if inner is None or outer is None:
        return None
    nearest = outer[_distances(inner, outer).argmin(axis=1)]
    middle = ((inner + nearest) / 2 / step).round().astype(int)
    row, column = middle.clip(0, np.array(pixels.shape) - 1).T
    return WallContours(inner, outer, wall[row, column], step)


def wall_samples(wall: WallContours) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return angles (radians) and thickness (mm) of the wall at points of both contours."""
    distances = _distances(wall.inner, wall.outer)
    from_outer = wall.walled[distances.argmin(axis=0)]
    points = np.concatenate([wall.inner[wall.walled], wall.outer[from_outer]])
    thickness = np.concatenate(
        [distances.min(axis=1)[wall.walled], distances.min(axis=0)[from_outer]]
    )
    return wall.angle_of(points), thickness


def insertion_points(
    right_ventricle: NDArray[np.bool_], wall: WallContours
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return both ends of the contact of the right ventricle with the wall, (row, column) in mm.

    None if they do not touch, or hardly.
    """
    from skimage.morphology import isotropic_dilation

    near = isotropic_dilation(right_ventricle, CONTACT_PIXELS)
    row, column = (wall.outer / wall.step).round().astype(int).clip(0, np.array(near.shape) - 1).T
    touching = wall.outer[near[row, column]]
    if len(touching) < 2:
        return None
    angles = wall.angle_of(touching)
    order = angles.argsort()
    gaps = np.diff(angles[order], append=angles[order[0]] + 2 * np.pi)
    widest = int(gaps.argmax())
    if 2 * np.pi - gaps[widest] < SMALLEST_CONTACT:
        return None
    return touching[order[widest]], touching[order[(widest + 1) % len(order)]]


def _contour(mask: NDArray[np.bool_], step: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the outer border of a mask at equal steps in mm; None if it is too small."""
    from skimage.filters import gaussian
    from skimage.measure import find_contours

    margin = 4
    smooth = gaussian(np.pad(mask, margin).astype(float), SMOOTHING_PIXELS)
    found = find_contours(smooth, 0.5)
    if not found:
        return None
    line = (max(found, key=len) - margin) * step
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0, length[-1], POINT_STEP_MM)
    return np.stack([np.interp(at, length, line[:, axis]) for axis in (0, 1)], axis=1)


def _distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances between all points of two lines, ``(points, points)``."""
    return np.linalg.norm(first[:, None] - second[None], axis=-1)
