"""The text header of an NRRD file: what it says about axes, space and time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.geometry import Geometry

TYPES: dict[str, str] = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(
        ("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"
    ),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), "u2"),
    **dict.fromkeys(("uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), "i8"),
    **dict.fromkeys(("signed long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_SPACES_TO_LPS = {
    "": (1, 1, 1),
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_SPACE_KINDS = {"domain", "space"}
_FRAME_KINDS = {"list", "time", "none", "???", ""}
_TIME_FACTORS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3}
_LONGEST_HEADER = 1 << 20


@dataclass
class NrrdHeader:
    """The fields of one header, as text, and where its data begin."""

    fields: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)  # written key:=value
    data_start: int = 0

    def words(self, name: str) -> list[str]:
        """Return the words of a field, none where it is absent."""
        return self.fields.get(name, "").split()


def read_header(path: Path) -> NrrdHeader:
    """Read the text up to the empty line before the data.

    Raises
    ------
    FlomoError
        If the file is missing, no NRRD, or its header is cut or malformed.
    """
    header = NrrdHeader()
    with limits.open_file(path) as stream:
        if not re.fullmatch(rb"NRRD000\d", stream.readline(16).rstrip()):
            raise limits.damaged(path, "it is not an NRRD image")
        while stream.tell() < _LONGEST_HEADER:
            line = stream.readline(_LONGEST_HEADER)
            text = line.decode("utf-8", errors="replace").rstrip("\r\n")
            if not text:
                if not line and "data file" not in header.fields:
                    raise limits.damaged(path)
                header.data_start = stream.tell()
                return header
            if text.startswith("#"):
                continue
            if ":=" in text and not re.match(r"[\w ]+: ", text):
                key, value = text.split(":=", 1)
                header.values[key.strip()] = value.strip()
            elif ": " in text:
                key, value = text.split(": ", 1)
                key = key.strip().lower()
                header.fields["data file" if key == "datafile" else key] = value.strip()
            else:
                raise limits.damaged(path, "its NRRD header makes no sense")
    raise limits.damaged(path, "its NRRD header has no end")


def frame_axis_of(header: NrrdHeader, rank: int, path: Path) -> int | None:
    """Return which axis on disk, counted from the fastest, holds frames, if any.

    Raises
    ------
    FlomoError
        If the axes are no image, or hold colours, vectors or segmentation layers.
    """
    kinds = [kind.lower() for kind in header.words("kinds")] or [""] * rank
    directions = _directions(header)
    if any(key.startswith("Segment1_") for key in header.values) and rank == 4:
        raise FlomoError(
            f"{path.name} is a segmentation with overlapping layers, not an image; export it from "
            "3D Slicer as a label map."
        )
    for kind in kinds:
        if kind not in (*_FRAME_KINDS, *_SPACE_KINDS):
            raise FlomoError(
                f"{path.name} holds colours or vectors (kind '{kind}'), not one number per voxel; "
                "save one component as an image of its own."
            )
    if directions:
        aspatial = [axis for axis, vector in enumerate(directions) if vector is None]
    else:
        aspatial = [axis for axis, kind in enumerate(kinds) if kind in ("list", "time")]
        if rank == 4 and not aspatial:
            aspatial = [3]
    if len(kinds) != rank or any(directions and kinds[axis] in _SPACE_KINDS for axis in aspatial):
        raise limits.damaged(path, "its NRRD header gives no direction for an axis in space")
    if rank - len(aspatial) not in (2, 3) or len(aspatial) > 1:
        raise FlomoError(
            f"{path.name} is {rank}-dimensional with {rank - len(aspatial)} axes in space, but an "
            "image has 2 or 3 of them and perhaps frames; save it as 3-D or 4-D files first."
        )
    return aspatial[0] if aspatial else None


def _directions(header: NrrdHeader) -> list[list[float] | None]:
    """Return one vector per axis on disk, None for an axis outside space."""
    text = header.fields.get("space directions", "")
    result: list[list[float] | None] = []
    for word in re.findall(r"\([^)]*\)|none", text, re.IGNORECASE):
        if word.lower() == "none":
            result.append(None)
        else:
            vector = _vector(word)
            # Some writers put NaN or zeros where the standard says none.
            result.append(vector if np.isfinite(vector).all() and any(vector) else None)
    return result


def _vector(word: str) -> list[float]:
    try:
        return [float(number) for number in word.strip("() ").split(",")]
    except ValueError:
        return [float("nan")]


def geometry_of(header: NrrdHeader, rank: int, frame_axis: int | None, path: Path) -> Geometry:
    """Return the grid of the axes in space.

    Raises
    ------
    FlomoError
        If the space is not supported, or the grid impossible.
    """
    space = header.fields.get("space", "").lower()
    directions = [vector for vector in _directions(header) if vector is not None]
    if not directions:
        try:
            spacings = [float(word) for word in header.words("spacings")]
        except ValueError:
            raise limits.damaged(path, "its NRRD header has invalid spacings") from None
        if frame_axis is not None and len(spacings) == rank:
            spacings.pop(frame_axis)
        if not spacings or all(np.isnan(spacings)):
            return Geometry.unknown()
        x, y, z = (*spacings, 1.0)[:3] if len(spacings) >= 2 else (*spacings, 1.0, 1.0)
        return Geometry((x, y, z))
    if space not in _SPACES_TO_LPS or any(len(vector) != 3 for vector in directions):
        raise FlomoError(
            f"{path.name} places its axes in the space '{space or 'unnamed'}', which is not "
            "supported; save it in left-posterior-superior or right-anterior-superior."
        )
    if len(directions) == 2:  # a single image need not say where the next slice would be
        normal = np.cross(directions[0], directions[1])
        directions.append((normal / (np.linalg.norm(normal) or 1.0)).tolist())
    if len(directions) != 3:
        raise limits.damaged(path, "its NRRD header has space directions for too few axes")
    affine = np.eye(4)
    affine[:3, :3] = np.array(directions).T
    origin = _vector(header.fields.get("space origin", "(0,0,0)"))
    if len(origin) != 3:
        raise limits.damaged(path, "its NRRD header has no valid space origin")
    affine[:3, 3] = origin
    return Geometry.from_affine_lps(np.diag([*_SPACES_TO_LPS[space], 1]) @ affine)


def frame_step_of(header: NrrdHeader, axis: int, count: int) -> float | None:
    """Return the seconds between frames where the file tells evenly spaced times and their unit."""
    unit = header.values.get(f"axis {axis} index unit", "").strip().lower()
    times = header.values.get(f"axis {axis} index values", "").split()
    if unit not in _TIME_FACTORS or len(times) != count or count < 2:
        return None
    try:
        steps = np.diff([float(time) for time in times])
    except ValueError:
        return None
    if not np.isfinite(steps).all() or steps[0] <= 0:
        return None
    even = np.allclose(steps, steps[0], rtol=1e-3, atol=0)
    return float(steps[0]) * _TIME_FACTORS[unit] if even else None
