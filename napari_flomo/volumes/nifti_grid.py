"""The grid that a NIfTI header describes, also where the header contradicts itself.

A header can tell the spacing twice: by the lengths of the columns of the sform, and by ``pixdim``,
which also scales the qform. Where the two differ by more than rounding,

1. a pixdim that is zero, no number or absurd yields to the sform;
2. of the same three steps in another order, the order is taken whose longest side is shorter;
3. a step of exactly 1, the value of a field that nobody set, yields to another one: the pixdim
   counts beside an sform that was never scaled, the sform beside a pixdim that was never set;
4. in all other cases the pixdim counts, as in ITK and FSL.

The axes and the origin are those of the sform in every case. What is left, such as an sform that
was never scaled beside a pixdim of zero, is refused.
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
"""The code of a form that says where the patient lay in the scanner."""

ROUNDING = 0.01
"""Steps that differ by less than this part are one number that was rounded."""

SMALLEST_STEP_MM, LARGEST_STEP_MM = 0.01, 200.0
"""Between these a step may be right where another one contradicts it."""

_SPACE_FACTORS = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}  # unknown, metre, mm, micrometre -> mm
_LARGEST_EXCESS = 1e-3  # by which the rounding of quaternions can lengthen them

# All that places the voxels. A file written on the grid of another one repeats these numbers bit
# for bit, so that tools that prefer the qform and tools that prefer the sform both see one grid.
GRID_FIELDS = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
    "xyzt_units",
)


@dataclass(frozen=True)
class HeaderGrid:
    """What a header says of the place of its voxels.

    Attributes
    ----------
    geometry
        The grid.
    fields
        Header fields that a file on the same grid can repeat; None where they contradict each
        other, because other programs would read another grid out of them.
    notes
        What had to be decided, one sentence each.
    """

    geometry: Geometry
    fields: dict[str, Any] | None
    notes: tuple[str, ...] = ()


def header_grid(header: Any) -> HeaderGrid:
    """Return the grid of a NIfTI header.

    Where sform and qform disagree, the one that tells scanner coordinates is taken, as ITK does:
    the sform when its code is 1 or there is no qform, else the qform. With neither, the grid has
    its spacing and no place.
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
        except FlomoError as error:  # a sheared sform may stand beside a good qform
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
    """Take axes and origin of the sform, and its steps or those of pixdim."""
    affine = np.array(header.get_sform(), dtype=np.float64)
    _complete(affine, flat)
    columns = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and columns.all()):
        return HeaderGrid(Geometry.from_affine_ras(affine), None)  # raises the sentence for it
    if flat:
        columns[2] = steps[2]  # there is no second slice
    chosen, note = _choose(columns, steps, lengths, factor)
    if note:
        affine[:3, :3] *= chosen / np.linalg.norm(affine[:3, :3], axis=0)
    affine[:3] *= factor
    geometry = Geometry.from_affine_ras(affine)
    return HeaderGrid(geometry, None, (note,)) if note else HeaderGrid(geometry, _fields(header))


def _by_qform(header: Any, steps: NDArray[np.float64], factor: float, flat: bool) -> HeaderGrid:
    """Take the qform, which pixdim scales."""
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
        # nibabel prefers the sform, so one that was never scaled must not be repeated.
        columns = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
        if _unset(columns).all() and not _agree(columns, steps).all():
            notes = (
                f"The header contradicts itself: its sform has steps of {_mm(columns)} as one that "
                f"was never scaled, its qform {_mm(steps * factor)}; the qform was used.",
            )
    return HeaderGrid(geometry, None, notes) if notes else HeaderGrid(geometry, _fields(whole))


def _choose(
    columns: NDArray[np.float64],
    steps: NDArray[np.float64],
    lengths: NDArray[np.float64],
    factor: float,
) -> tuple[NDArray[np.float64], str]:
    """Decide between the steps of the sform and of pixdim by the rules of this module.

    Returns
    -------
    steps, note
        The note is empty where both agree; the steps are then those of the sform.
    """
    sizes = np.abs(steps)
    agree = _agree(columns, sizes)
    if agree.all() and (steps > 0).all():
        return columns, ""
    said = f"its sform has steps of {_mm(columns * factor)}, its pixdim {_mm(steps * factor)}"
    by_sform = _why_sform(columns, steps, lengths, factor)
    if by_sform:
        return columns, f"The header contradicts itself: {said}; the sform was used, {by_sform}."
    pixdim = f"The header contradicts itself: {said}; the pixdim was used, with the sform's axes"
    if not _possible(sizes * factor):
        raise FlomoError(
            f"The image's header tells no spacing: {said}, which is no spacing, and an sform whose "
            "steps are all 1 may never have been scaled; write the true spacing into it."
        )
    unset = [_unset(one) & ~agree for one in (columns, sizes)]
    if unset[0].any() and unset[1].any() and not _same_steps(columns, sizes):
        raise FlomoError(
            f"The image's header contradicts itself: {said}, and each has steps that were never "
            "set; write the true spacing into it."
        )
    if (unset[0] | agree).all():
        pixdim += ", because steps of 1 are those of an sform that was never scaled"
    return sizes, f"{pixdim}."


def _why_sform(
    columns: NDArray[np.float64],
    steps: NDArray[np.float64],
    lengths: NDArray[np.float64],
    factor: float,
) -> str:
    """Say why the steps of an sform count and not the different ones of pixdim; empty: they do not.

    The arguments are those of `_choose`.
    """
    sizes = np.abs(steps)
    agree = _agree(columns, sizes)
    if agree.all():
        return "because no step can be negative"
    if not _possible(sizes * factor):
        return "" if _unset(columns).all() else "because the pixdim is no spacing"
    if not _possible(columns * factor):
        return ""
    if _same_steps(columns, sizes):
        longest = [float((lengths * one).max()) for one in (columns, sizes)]
        shorter = longest[0] < longest[1] * (1 - ROUNDING)
        return "because the image is less long in one direction so" if shorter else ""
    if (_unset(sizes) | agree).all():
        return "because steps of 1 are those of a pixdim that was never set"
    return ""


def _same_steps(columns: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    """Return True if the steps are the same three, in whatever order."""
    return bool(_agree(np.sort(columns), np.sort(sizes)).all())


def _agree(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for each axis whether two steps are the same up to rounding; NaN and infinity never."""
    return np.isclose(one, other, rtol=ROUNDING, atol=0) & np.isfinite(one)


def _unset(steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for each axis whether the step is 1."""
    ones: NDArray[np.bool_] = np.isclose(steps, 1.0, rtol=0, atol=1e-4)
    return ones


def _possible(steps: NDArray[np.float64]) -> bool:
    return bool(((steps >= SMALLEST_STEP_MM) & (steps <= LARGEST_STEP_MM)).all())


def _sign_note(steps: NDArray[np.float64]) -> tuple[str, ...]:
    if not (steps < 0).any():
        return ()
    return ("The header gives negative steps between voxels; their size was used without sign.",)


def _with_valid_qform(header: Any, steps: NDArray[np.float64]) -> Any:
    """Return a header whose qform nibabel accepts, a copy where something had to be changed.

    The standard takes any qfac that is not negative as 1; NIfTI's own library shortens quaternions
    that rounding has made longer than 1.
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
    """Add the normal to a 2-D image, whose file need not say where a second slice would be."""
    if flat and not affine[:3, 2].any():
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)


def _fields(header: Any) -> dict[str, Any]:
    """Copy the placing fields out of a header."""
    fields = {name: np.array(header[name]).tolist() for name in GRID_FIELDS}
    fields["pixdim"] = np.array(header["pixdim"][:5]).tolist()
    return fields


def _mm(steps: NDArray[np.float64]) -> str:
    return " x ".join(f"{step:.4g}" for step in steps) + " mm"
