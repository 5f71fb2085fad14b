"""Parse ranges of frames and slices."""

from __future__ import annotations

import argparse
import re

_PART = re.compile(r"(\d+)(?:-(\d+))?")
LARGEST_INDEX = 99_999


def indices(text: str) -> list[int]:
    """Parse indices such as ``0,3,5-9`` (from 0, ends included); an argparse type.

    Parameters
    ----------
    text
        Numbers and ranges, separated by commas.

    Returns
    -------
    list of int
        The indices, ascending, without duplicates.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is not a list of indices and ranges.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a list like 0,3,5-9 (counted from 0)"
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range {part.strip()} is in descending order")
        if last > LARGEST_INDEX:
            raise argparse.ArgumentTypeError(f"{last} is too large")
        chosen.update(range(first, last + 1))
    return sorted(chosen)
