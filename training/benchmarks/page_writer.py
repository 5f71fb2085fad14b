"""Command lines, tables and numbers of the benchmark pages in ``docs/benchmarks``."""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_flomo.files import atomic_write

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs" / "benchmarks"
"""Folder of the pages."""

SAMPLE = REPOSITORY / "docs" / "samples" / "sunnybrook_ed.nii.gz"

Columns = Mapping[str, str | Callable[[Any], object]]
"""Title of each column, and what it shows of an item: a function, or a format string such as
``"{0.dice:.3f}"``."""

MISSING = "–"
"""Shown for a value that was not measured."""


def parser_of(module_doc: str | None, page: str = "") -> argparse.ArgumentParser:
    """Return a parser described by the first line of a module, with ``--out`` for its page."""
    parser = argparse.ArgumentParser(description=(module_doc or "").partition("\n")[0])
    if page:
        parser.add_argument(
            "-o", "--out", type=Path, default=DOCS / page, help="Markdown file to write"
        )
    return parser


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with one line per row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def table_of(items: Iterable[Any], columns: Columns) -> str:
    """Return a table with one line per item, an object or a mapping."""
    rows = (
        [show.format(item) if isinstance(show, str) else show(item) for show in columns.values()]
        for item in items
    )
    return table(list(columns), rows)


def number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """Return a number with fixed digits; None and NaN give `MISSING`."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:{'+' if signed else ''}.{digits}f}"


def interval(values: Sequence[float | None], digits: int, *, signed: bool = False) -> str:
    """Return ``value (low to high)``; without an interval only the value."""
    return _join([number(value, digits, signed=signed) for value in values])


def percent(values: Sequence[float | None]) -> str:
    """Return a fraction and its interval in percent."""
    return _join([MISSING if value is None else f"{100 * value:.0f} %" for value in values])


def points(values: Sequence[float | None]) -> str:
    """Return a difference of two fractions and its interval in percentage points."""
    scaled = [None if value is None else 100 * value for value in values]
    return f"{interval(scaled, 1, signed=True)} points"


def document(*blocks: object) -> str:
    """Return the blocks of a page, separated by empty lines; empty blocks are left out."""
    return "\n\n".join(str(block).rstrip() for block in blocks if block) + "\n"


def write_page(path: Path, text: str) -> None:
    """Write a page and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def processor() -> tuple[str, set[str]]:
    """Return the name and the flags of the processor; the flags are known on Linux only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    return fields.get("model name", platform.machine()), set(fields.get("flags", "").split())


def _join(cells: Sequence[str]) -> str:
    value, low, high = cells
    return value if low == MISSING else f"{value} ({low} to {high})"
