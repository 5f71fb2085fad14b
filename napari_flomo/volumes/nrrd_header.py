"""The header of an NRRD file, read by pynrrd: its axes, space and time.

Lines are filtered before pynrrd 1.1 reads them: it rejects a whole file for an error in an unused
field, for upper case, for spaces in a vector and for names after ``data file: LIST``, and drops
characters that are not ASCII, so that micrometres become metres and names of data files wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.geometry import Geometry

# The fields in use; not labels, thicknesses or the measurement frame of a diffusion image.
_FIELDS = ["type", "dimension", "sizes", "endian", "encoding", "kinds", "spacings", "units"]
_FIELDS += ["space", "space directions", "space origin", "space units"]
_FIELDS += ["line skip", "byte skip", "data file"]
_BY_COMPACT_NAME = {name.replace(" ", ""): name for name in _FIELDS}
_WITH_CASE = {"data file", "units", "space units"}
_PAIR = re.compile(r"(Segment1_|axis \d index )[^:]*:=")
_DEFAULTS = {"type": "", "dimension": 0, "endian": "little", "encoding": "raw", "space": ""}
_DEFAULTS |= {"line skip": 0, "byte skip": 0}
_ENCODINGS = {"gz": "gzip", "bz2": "bzip2", "txt": "ascii", "text": "ascii"}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
}
_TO_LPS |= {"".join(word[0] for word in name.split("-")): to for name, to in _TO_LPS.items()}
_TO_LPS |= {name + ("-time" if "-" in name else "t"): to for name, to in _TO_LPS.items()}
_TO_LPS[""] = (1, 1, 1)
_SPACE_KINDS = {"domain", "space"}
_FRAME_KINDS = {"list", "time", "none", "???", ""}
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3}
_MILLIMETRES = {"m": 1e3, "cm": 10.0, "um": 1e-3, "μm": 1e-3, "micron": 1e-3, "microns": 1e-3}
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class NrrdHeader:
    """One header; axes are ordered from the fastest to the slowest."""

    path: Path
    fields: dict[str, Any]  # fields in use, parsed by pynrrd, and key/value pairs as text
    sizes: list[int]
    kinds: list[str]  # "" if not stated
    directions: list[NDArray[np.float64] | None]  # None for an axis outside of space
    files: list[str]  # lines after ``data file: LIST``
    data_start: int


def read_header(path: Path) -> NrrdHeader:
    """Read the text up to the empty line before the data; raise if it is malformed."""
    import nrrd

    seen: list[str] = []
    files: list[str] = []
    with limits.open_file(path) as stream:
        try:
            fields = _DEFAULTS | nrrd.read_header(_lines(path, stream, seen, files))
        except (ValueError, IndexError, nrrd.NRRDError):  # pynrrd parses each line before the next
            raise limits.damaged(path, f"its NRRD header has no valid {seen[-1]}") from None
        start = stream.tell()
    fields["encoding"] = _ENCODINGS.get(fields["encoding"], fields["encoding"])
    sizes = [int(length) for length in fields.get("sizes", ())]
    directions = [
        # Some writers store NaN or zeros instead of "none"; pynrrd returns NaN for "none", or None
        # if another program in this process has set this option.
        vector if vector is not None and np.isfinite(vector).all() and vector.any() else None
        for vector in fields.get("space directions", ())
    ]
    kinds = fields.get("kinds") or [""] * len(sizes)
    return NrrdHeader(path, fields, sizes, kinds, directions, files, start)


def _lines(path: Path, stream: BinaryIO, seen: list[str], files: list[str]) -> Iterator[str]:
    """Yield the lines for pynrrd; append field names to ``seen`` and data files to ``files``."""
    seen.append("version")
    magic = stream.readline(16).decode("ascii", errors="replace")
    if not magic.startswith("NRRD"):
        raise limits.damaged(path, "it is not an NRRD image")
    yield magic
    for line in iter(lambda: stream.readline(_LONGEST_HEADER), b""):
        text = line.decode("utf-8", errors="surrogateescape").strip()
        if not text:
            return
        if stream.tell() > _LONGEST_HEADER:
            raise limits.damaged(path, "its NRRD header has no end")
        key, colon, value = text.partition(":")
        name = _BY_COMPACT_NAME.get(key.replace(" ", "").lower())
        if name is None or value.startswith("="):
            seen.append("fields")
            if not colon or _PAIR.match(text):
                yield text
            continue
        if name in seen:
            raise limits.damaged(path, f"its NRRD header has two fields {name}")
        seen.append(name)
        value = value.strip()
        if name == "data file" and is_list(value):
            rest = stream.read(_LONGEST_HEADER).decode("utf-8", errors="surrogateescape")
            files += filter(None, map(str.strip, rest.split("\n")))
        elif name not in _WITH_CASE:
            value = re.sub(r"(?<=[(,])\s+|\s+(?=[,)])", "", value).lower()
        yield f"{name}: {value}"
    if "data file" not in seen:
        raise limits.damaged(path)


def is_list(data_file: str) -> bool:
    """Return True for a value of ``data file`` that is followed by one file name per line."""
    return re.fullmatch(r"LIST(\s+\d+)?", data_file) is not None


def frame_axis_of(header: NrrdHeader) -> int | None:
    """Return the frame axis, counted from the fastest, or None; raise if the axes are no image."""
    path, kinds, directions, rank = header.path, header.kinds, header.directions, len(header.sizes)
    if any(key.startswith("Segment1_") for key in header.fields) and rank == 4:
        raise FlomoError(
            f"{path.name} is a segmentation with overlapping layers, not an image; export it from "
            "3D Slicer as a label map."
        )
    for kind in kinds:
        if kind not in _FRAME_KINDS | _SPACE_KINDS:
            raise FlomoError(
                f"{path.name} holds colours or vectors (kind '{kind}'), not one number per voxel; "
                "save one component as a separate image."
            )
    if len(kinds) != rank or len(directions) not in (0, rank):
        raise limits.damaged(path, "its NRRD header has no direction or no kind for an axis")
    if (timed := _time_axis(header)) is not None:
        outside = [timed]
    elif directions:
        outside = [axis for axis, vector in enumerate(directions) if vector is None]
        if any(kinds[axis] in _SPACE_KINDS for axis in outside):
            raise limits.damaged(path, "its NRRD header has no direction for an axis in space")
    else:
        outside = [axis for axis, kind in enumerate(kinds) if kind in ("list", "time")]
        outside = outside or [3] * (rank == 4)
    if rank - len(outside) not in (2, 3) or len(outside) > 1:
        raise FlomoError(
            f"{path.name} is {rank}-dimensional with {rank - len(outside)} axes in space, but an "
            "image has 2 or 3 of them and perhaps frames; save it as 3-D or 4-D files first."
        )
    return outside[0] if outside else None


def _time_axis(header: NrrdHeader) -> int | None:
    """Return the axis along the fourth dimension of a space that has one, as ITK writes a cine."""
    vectors = [vector for vector in header.directions if vector is not None and len(vector) == 4]
    moving = [axis for axis, vector in enumerate(vectors) if vector[3]]
    if len(moving) != 1 or len(vectors) != len(header.sizes) or vectors[moving[0]][:3].any():
        return None
    return moving[0]


def geometry_of(header: NrrdHeader, frame_axis: int | None) -> tuple[Geometry, tuple[str, ...]]:
    """Return the grid of the axes in space, and notes for the user about it."""
    path, space = header.path, header.fields["space"]
    vectors = [
        np.pad(vector, (0, 1)) if len(vector) == 2 and space == "" else vector
        for axis, vector in enumerate(header.directions)
        if vector is not None and axis != frame_axis
    ]
    if not vectors:
        return _from_spacings(header, frame_axis)
    width = 3 if _time_axis(header) is None else 4
    if space not in _TO_LPS or any(len(vector) != width for vector in vectors):
        raise FlomoError(
            f"{path.name} uses the space '{space or 'unnamed'}', which is not supported; save it "
            "in left-posterior-superior or right-anterior-superior."
        )
    vectors = [vector[:3] for vector in vectors]
    if len(vectors) == 2:  # a single image has no slice direction
        normal = np.cross(vectors[0], vectors[1])
        vectors.append(normal / (np.linalg.norm(normal) or 1.0))
    origin = header.fields.get("space origin", np.zeros(3))
    if len(origin) == 2 and space == "":
        origin = np.pad(origin, (0, 1))
    if len(origin) < 3:
        raise limits.damaged(path, "its NRRD header has no valid space origin")
    factor, notes = _millimetres(header.fields.get("space units", ())[:3])
    affine = np.eye(4)
    affine[:3] = factor * np.array([*vectors, origin[:3]]).T
    return Geometry.from_affine_lps(np.diag([*_TO_LPS[space], 1]) @ affine), notes


def _from_spacings(header: NrrdHeader, frame_axis: int | None) -> tuple[Geometry, tuple[str, ...]]:
    """Return the axis-aligned grid of a file without directions."""
    spacings = [float(step) for step in header.fields.get("spacings", ())]
    units = list(header.fields.get("units", ()))
    if frame_axis is not None:
        for each in (spacings, units):
            if len(each) == len(header.sizes):
                each.pop(frame_axis)
    if not spacings or all(np.isnan(spacings)):
        return Geometry.unknown(), ()
    factor, notes = _millimetres(units)
    x, y, z = (factor * step for step in (*spacings, 1.0 / factor, 1.0 / factor)[:3])
    return Geometry((x, y, z)), notes


def _millimetres(units: Sequence[str]) -> tuple[float, tuple[str, ...]]:
    """Return the factor from a unit of length to mm, and a note; 1 for an unknown unit."""
    known = {unit for unit in units if unit in _MILLIMETRES}
    if len(known) != 1 or len(set(units)) != 1:
        return 1.0, ()
    (unit,) = known
    return _MILLIMETRES[unit], (f"Lengths in the header are in {unit}; they were converted to mm.",)


def frame_step_of(header: NrrdHeader, axis: int) -> float | None:
    """Return the seconds between frames, None unless the file has evenly spaced times with a unit.

    The fourth dimension of a space counts as seconds if it has no unit, unless its step is 1, which
    means "not set".
    """
    if _time_axis(header) == axis:
        vector = header.directions[axis]
        assert vector is not None
        unit, step = header.fields.get("space units", ())[3:4], float(abs(vector[3]))
        if unit and unit[0]:
            return step * _SECONDS[unit[0]] if unit[0] in _SECONDS else None
        return step if step != 1 else None
    count = header.sizes[axis]
    unit = header.fields.get(f"axis {axis} index unit", "").lower()
    times = header.fields.get(f"axis {axis} index values", "").split()
    if unit not in _SECONDS or len(times) != count or count < 2:
        return None
    try:
        steps = np.diff([float(time) for time in times])
    except ValueError:
        return None
    even = 0 < steps[0] < np.inf and np.allclose(steps, steps[0], rtol=1e-3, atol=0)
    return float(steps[0]) * _SECONDS[unit] if even else None
