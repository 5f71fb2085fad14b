"""Names and checks of the data files of a header."""

from __future__ import annotations

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

    Parameters
    ----------
    text
        Name with one place for a number, its first and last value and the step, and perhaps how
        many axes each file holds.
    header
        Named in the message.

    Returns
    -------
    tuple, optional
        The names, and the number of axes if it is given; None if the text is no pattern, as
        ``77 %.raw``.
    """
    found = _RANGE.fullmatch(text)
    if found is None or len(_NUMBER.findall(found[1])) != 1:
        return None
    first, last, step = (int(found[group]) for group in (2, 3, 4))
    if not step or not 0 <= (last - first) // step < _MOST_FILES:
        raise limits.damaged(header, "it numbers its data files wrongly")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    return names_of(found[1], numbers), int(found[5]) if found[5] else None


def names_of(pattern: str, numbers: Sequence[int]) -> list[str]:
    """Return the names of a pattern with one place for a number; none if it has no such place."""
    places = _NUMBER.findall(pattern)
    if len(places) != 1:
        return []
    (place,) = places
    before, after = pattern.split(place)
    return [f"{before}{place % number}{after}" for number in numbers]


def check_shares(header: Path, sizes: Sequence[int], files: int, within: int | None) -> None:
    """Refuse a number of data files among which the axes cannot be divided.

    Parameters
    ----------
    header
        Named in the message.
    sizes
        Lengths of the axes, the fastest first.
    files
        How many there are.
    within
        How many axes each file holds, by default all but the slowest; with all of them, each holds
        as many steps of the slowest axis.
    """
    axes = len(sizes) - 1 if within is None else within
    share = 1
    for length in sizes[axes:]:
        share *= length
    if files == 1 or (axes > 0 and files == share):
        return
    if axes == len(sizes) and files and sizes[-1] % files == 0:
        return
    raise limits.damaged(
        header,
        f"it names {files} data files, among which its axes of {' x '.join(map(str, sizes))} "
        "cannot be divided",
    )


def check_existence(header: Path, paths: Sequence[Path]) -> None:
    """Raise a `FlomoError` that names the first data file of a header that is missing."""
    for path in paths:
        if not path.is_file():
            raise FlomoError(
                f"{header.name} keeps its voxels in another file, but there is no file {path}; "
                "put it there, or export the image again."
            )


def check_length(path: Path, stored: int, needed: int) -> None:
    """Refuse a file of plain voxels that holds more or fewer bytes than its header declares.

    More may be another header before the voxels, or voxels of another type.
    """
    if stored != needed:
        raise limits.damaged(
            path, f"it holds {stored} bytes of voxels, but its header declares {needed}"
        )
