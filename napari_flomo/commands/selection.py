"""Choices of frames and slices as people type them."""

from __future__ import annotations

import argparse
import re

_PART = re.compile(r"(\d+)(?:-(\d+))?")
LARGEST_INDEX = 99_999


def indices(text: str) -> list[int]:
    """Parse a choice such as ``0,3,5-9`` (counted from 0, ends included); an argparse type.

    Parameters
    ----------
    text
        Numbers and ranges, separated by commas.

    Returns
    -------
    list of int
        The chosen indices, ascending, each once.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is no such choice.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a choice like 0,3,5-9 (counted from 0)"
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range {part.strip()} runs backwards")
        if last > LARGEST_INDEX:
            raise argparse.ArgumentTypeError(f"{last} is beyond any image")
        chosen.update(range(first, last + 1))
    return sorted(chosen)
