"""Names and checks of the data files of a detached header (NRRD, MetaImage)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits

_NUMBER = re.compile(r"%0?\d*[diu]")
_RANGE = re.compile(r"(.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+(\d+))?")
_MOST_FILES = 100_000


def numbered_names(text: str, header: Path) -> tuple[list[str], int | None] | None:
    """Return the names that a pattern such as ``slice%03d.raw 1 10 1`` stands for.

    The numbers are the first and last one and the step, and optionally the number of axes in each
    file, which is returned, too. None if the text is no such pattern, as ``77 %.raw``.
    """
    found = _RANGE.fullmatch(text)
    if found is None or len(_NUMBER.findall(found[1])) != 1:
        return None
    first, last, step = (int(found[group]) for group in (2, 3, 4))
    if not step or not 0 <= (last - first) // step < _MOST_FILES:
        raise limits.damaged(header, "its numbers of data files are invalid")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    return names_of(found[1], numbers), int(found[5]) if found[5] else None


def names_of(pattern: str, numbers: Sequence[int]) -> list[str]:
    """Return the names of a pattern with one number field; none for any other text."""
    fields = _NUMBER.findall(pattern)
    if len(fields) != 1:
        return []
    (field,) = fields
    before, after = pattern.split(field)
    return [f"{before}{field % number}{after}" for number in numbers]


def check_file_count(header: Path, sizes: Sequence[int], files: int, within: int | None) -> None:
    """Raise if the axes cannot be divided among a number of data files.

    ``sizes`` has the fastest axis first. ``within`` is the number of axes in each file, by default
    all but the slowest; with all of them, each file holds as many steps of the slowest axis.
    """
    axes = len(sizes) - 1 if within is None else within
    if files == 1 or (axes > 0 and files == math.prod(sizes[axes:])):
        return
    if axes == len(sizes) and files and sizes[-1] % files == 0:
        return
    raise limits.damaged(
        header,
        f"its axes of {' x '.join(map(str, sizes))} cannot be divided among {files} data files",
    )


def check_existence(header: Path, paths: Sequence[Path]) -> None:
    """Raise if a data file of a header is missing."""
    for path in paths:
        if not path.is_file():
            raise FlomoError(
                f"{header.name} has its voxels in {path}, which is missing; copy it there, or "
                "export the image again."
            )


def check_length(path: Path, stored: int, needed: int) -> None:
    """Raise if a file of raw voxels is not as long as its header declares.

    A longer file may have another header before the voxels, or voxels of another type.
    """
    if stored != needed:
        raise limits.damaged(
            path, f"it holds {stored} bytes of voxels, but its header declares {needed}"
        )
