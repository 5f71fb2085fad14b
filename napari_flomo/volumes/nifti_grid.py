"""The grid of a NIfTI header, including contradictory headers.

A header has the spacing twice: in the lengths of the columns of the sform, and in ``pixdim``, which
also scales the qform. If they differ by more than rounding,

1. the sform wins over a pixdim that is zero, NaN or absurd;
2. of the same three steps in different orders, the one with the shorter longest side wins;
3. a step of exactly 1, the default of a field that was not set, loses: pixdim wins over an sform
   that was not scaled, and the sform over a pixdim that was not set;
4. otherwise pixdim wins, as in ITK and FSL.

Axes and origin are always those of the sform. All other headers, such as a sform that was not
scaled with a pixdim of zero, are rejected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.geometry import Geometry

SCANNER = 1
"""Code of a form in scanner coordinates."""

ROUNDING = 0.01
"""Relative difference up to which steps are equal."""

SMALLEST_STEP_MM, LARGEST_STEP_MM = 0.01, 200.0
"""Range of plausible steps in a contradictory header."""

_SPACE_FACTORS = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}  # unknown, metre, mm, micrometre -> mm
_LARGEST_EXCESS = 1e-3  # of the squared length of a rounded quaternion

# A file on the grid of another one repeats these fields exactly, so that tools that prefer the
# qform and tools that prefer the sform read the same grid.
GRID_FIELDS = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)


@dataclass(frozen=True)
class HeaderGrid:
    """The grid of a header.

    Attributes
    ----------
    fields
        Header fields for a file on the same grid; None if they contradict each other, because other
        programs would read another grid from them.
    notes
        For the user: how contradictions were resolved.
    """

    geometry: Geometry
    fields: dict[str, Any] | None
    notes: tuple[str, ...] = ()


def header_grid(header: Any) -> HeaderGrid:
    """Return the grid of a NIfTI header.

    If sform and qform disagree, the one in scanner coordinates is used, as in ITK: the sform if its
    code is 1 or there is no qform, else the qform. Without both, the grid has only a spacing.
    """
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    space_unit = int(header["xyzt_units"]) & 7
    factor = _SPACE_FACTORS.get(space_unit, 1.0)
    steps = np.array(header["pixdim"][1:4], dtype=np.float64)
    flat = int(header["dim"][0]) < 3
    if flat and not steps[2] > 0:
        steps[2] = 1.0
    lengths = np.array(header["dim"][1:4], dtype=np.float64)
    failure: FlomoError | None = None
    sform_first = s_code == SCANNER or (s_code > 0 and q_code <= 0)
    for form in ("sform", "qform") if sform_first else ("qform", "sform"):
        if (s_code if form == "sform" else q_code) <= 0:
            continue
        try:
            if form == "sform":
                return _by_sform(header, steps, lengths, factor, flat)
            return _by_qform(header, steps, factor, flat)
        except FlomoError as error:  # the sform may be sheared and the qform valid
            failure = failure or error
    if failure is not None:
        raise failure
    notes = _sign_note(steps)
    x, y, z = (np.abs(steps) * factor).tolist()
    plain = Geometry(
        (x, y, z),
        spacing_known=bool(q_code or s_code or space_unit or (steps != 1).any()),
    )
    return HeaderGrid(plain, None if notes else _fields(header), notes)


def _by_sform(
    header: Any,
    steps: NDArray[np.float64],
    lengths: NDArray[np.float64],
    factor: float,
    flat: bool,
) -> HeaderGrid:
    """Return the grid with axes and origin of the sform, and its steps or those of pixdim."""
    affine = np.array(header.get_sform(), dtype=np.float64)
    _complete(affine, flat)
    columns = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and columns.all()):
        return HeaderGrid(Geometry.from_affine_ras(affine), None)  # raises
    if flat:
        columns[2] = steps[2]  # there is no second slice
    chosen, note = _choose(columns, steps, lengths, factor)
    if note:
        affine[:3, :3] *= chosen / np.linalg.norm(affine[:3, :3], axis=0)
    affine[:3] *= factor
    geometry = Geometry.from_affine_ras(affine)
    return HeaderGrid(geometry, None, (note,)) if note else HeaderGrid(geometry, _fields(header))


def _by_qform(header: Any, steps: NDArray[np.float64], factor: float, flat: bool) -> HeaderGrid:
    """Return the grid of the qform, which pixdim scales."""
    whole = _with_valid_qform(header, steps)
    try:
        affine = np.array(whole.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise FlomoError(
            "The image's qform is not a valid orientation; repair the header or export again."
        ) from error
    _complete(affine, flat)
    affine[:3] *= factor
    geometry = Geometry.from_affine_ras(affine)
    notes = _sign_note(steps)
    if int(header["sform_code"]) > 0 and not notes:
        # nibabel prefers the sform, so one that was not scaled must not be written again.
        columns = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
        if _unset(columns).all() and not _agree(columns, steps).all():
            notes = (
                f"The header contradicts itself: its sform has steps of {_mm(columns)}, as if it "
                f"was not scaled, its qform {_mm(steps * factor)}; the qform was used.",
            )
    return HeaderGrid(geometry, None, notes) if notes else HeaderGrid(geometry, _fields(whole))


def _choose(
    columns: NDArray[np.float64],
    steps: NDArray[np.float64],
    lengths: NDArray[np.float64],
    factor: float,
) -> tuple[NDArray[np.float64], str]:
    """Choose the steps of the sform or of pixdim by the rules of this module, with a note."""
    sizes = np.abs(steps)
    agree = _agree(columns, sizes)
    if agree.all() and (steps > 0).all():
        return columns, ""
    both = f"its sform has steps of {_mm(columns * factor)}, its pixdim {_mm(steps * factor)}"
    reason = _reason_for_sform(columns, steps, lengths, factor)
    if reason:
        return columns, f"The header contradicts itself: {both}; the sform was used, {reason}."
    note = f"The header contradicts itself: {both}; the pixdim was used, with the sform's axes"
    if not _possible(sizes * factor):
        raise FlomoError(
            f"The image's header has no valid spacing: {both}, which is no spacing, and a sform "
            "with steps of 1 may not be scaled; write the true spacing into it."
        )
    unset = [_unset(one) & ~agree for one in (columns, sizes)]
    if unset[0].any() and unset[1].any() and not _same_steps(columns, sizes):
        raise FlomoError(
            f"The image's header contradicts itself: {both}, and each has steps that were not set; "
            "write the true spacing into it."
        )
    if (unset[0] | agree).all():
        note += ", because a sform with steps of 1 was not scaled"
    return sizes, f"{note}."


def _reason_for_sform(
    columns: NDArray[np.float64],
    steps: NDArray[np.float64],
    lengths: NDArray[np.float64],
    factor: float,
) -> str:
    """Return why the sform wins over pixdim, or "" if it does not."""
    sizes = np.abs(steps)
    agree = _agree(columns, sizes)
    if agree.all():
        return "because no step can be negative"
    if not _possible(sizes * factor):
        return "" if _unset(columns).all() else "because the pixdim is not a valid spacing"
    if not _possible(columns * factor):
        return ""
    if _same_steps(columns, sizes):
        longest = [float((lengths * one).max()) for one in (columns, sizes)]
        shorter = longest[0] < longest[1] * (1 - ROUNDING)
        return "because the longest side of the image is shorter" if shorter else ""
    if (_unset(sizes) | agree).all():
        return "because a pixdim of 1 was not set"
    return ""


def _same_steps(columns: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    """Return True if the steps are equal in any order."""
    return bool(_agree(np.sort(columns), np.sort(sizes)).all())


def _agree(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each axis if two steps are equal up to rounding; NaN and infinity never are."""
    return np.isclose(one, other, rtol=ROUNDING, atol=0) & np.isfinite(one)


def _unset(steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each axis if the step is 1."""
    ones: NDArray[np.bool_] = np.isclose(steps, 1.0, rtol=0, atol=1e-4)
    return ones


def _possible(steps: NDArray[np.float64]) -> bool:
    return bool(((steps >= SMALLEST_STEP_MM) & (steps <= LARGEST_STEP_MM)).all())


def _sign_note(steps: NDArray[np.float64]) -> tuple[str, ...]:
    if not (steps < 0).any():
        return ()
    return ("The steps between voxels in the header are negative; their sign was ignored.",)


def _with_valid_qform(header: Any, steps: NDArray[np.float64]) -> Any:
    """Return the header, or a copy with a qform that nibabel accepts.

    In the standard any qfac that is not negative means 1; niftilib normalises quaternions that are
    longer than 1 by rounding.
    """
    factor = float(header["pixdim"][0])
    parts = np.array([header[f"quatern_{letter}"] for letter in "bcd"], dtype=np.float64)
    square = float(parts @ parts)
    too_long = 1 < square <= 1 + _LARGEST_EXCESS and square - 1 > abs(header.quaternion_threshold)
    if factor in (1, -1) and not too_long and (steps > 0).all():
        return header
    whole = header.copy()
    whole["pixdim"][0] = -1 if factor < 0 else 1
    whole["pixdim"][1:4] = np.abs(steps)
    if too_long:
        for letter, part in zip("bcd", parts / np.sqrt(square), strict=True):
            whole[f"quatern_{letter}"] = part
    return whole


def _complete(affine: NDArray[np.float64], flat: bool) -> None:
    """Add the slice direction, which a 2-D image need not have."""
    if flat and not affine[:3, 2].any():
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)


def _fields(header: Any) -> dict[str, Any]:
    """Return the geometry fields of a header."""
    fields = {name: np.array(header[name]).tolist() for name in GRID_FIELDS}
    fields["pixdim"] = np.array(header["pixdim"][:5]).tolist()
    return fields


def _mm(steps: NDArray[np.float64]) -> str:
    return " x ".join(f"{step:.4g}" for step in steps) + " mm"
