"""Read text and tables as editors and spreadsheets save them."""

from __future__ import annotations

import codecs
import csv
import re
from itertools import dropwhile
from pathlib import Path

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)")


def decode_text(content: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark, or UTF-16 with one.

    Line ends become line feeds.

    Raises
    ------
    UnicodeDecodeError
        If it is neither; a `ValueError`.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path) -> str:
    """Read a file with `decode_text`.

    Raises
    ------
    OSError
        If it cannot be read.
    UnicodeDecodeError
        If it is not UTF-8 or UTF-16 text; a `ValueError`.
    """
    return decode_text(path.read_bytes())


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table with a header row.

    Cells are separated by commas, semicolons or tabs, whichever the first line has. With
    semicolons, as spreadsheets write in many countries, numbers may have decimal commas. Empty rows
    and cells without a column name are skipped.

    Parameters
    ----------
    path
        CSV.

    Returns
    -------
    list of dict
        For each row, text by column name; missing cells are absent.

    Raises
    ------
    OSError, ValueError, csv.Error
        If it cannot be read.
    """
    lines = read_text(path).split("\n")
    separator = _SEPARATOR_LINE.fullmatch(lines[0].strip())
    if separator is not None:
        lines = lines[1:]
    lines = list(dropwhile(lambda line: not line.strip(), lines))
    delimiter = separator[1] if separator else max(",;\t", key="".join(lines[:1]).count)
    rows = []
    reader = csv.DictReader((line + "\n" for line in lines), delimiter=delimiter)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    for row in reader:
        cells = {
            name: _with_point(cell) if delimiter == ";" else cell
            for name, cell in row.items()
            if name is not None and cell is not None
        }
        if any(cell.strip() for cell in cells.values()):
            rows.append(cells)
    return rows


def _with_point(cell: str) -> str:
    """Return a number with a decimal point, or the unchanged cell."""
    found = _DECIMAL_COMMA.fullmatch(cell.strip())
    return f"{found[1]}.{found[2]}" if found else cell
