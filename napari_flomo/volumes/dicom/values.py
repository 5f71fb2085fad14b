"""Values of DICOM elements as Python objects; None if missing or invalid."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag

_PLAIN = {"AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"}
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(\.\d+)?")
_DATE_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2}\d*(?:\.\d+)?)(?:[+-]\d{4})?")
_DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")


@cache
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of an element; looking it up takes longer than reading its value."""
    from pydicom.tag import Tag

    return Tag(keyword)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element; None if it is missing or cannot be converted."""
    try:
        return dataset[tag_of(keyword)].value
    except Exception:  # pydicom raises many kinds for values that break a rule
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """Return a value as text, several joined by backslashes; "" if there is none."""
    plain = _plain(dataset, keyword)
    if plain is not None:
        return plain
    value = value_of(dataset, keyword)
    if value is None:
        return ""
    if not isinstance(value, str) and isinstance(value, Iterable):
        value = "\\".join(map(str, value))
    return str(value).encode("utf-8", errors="replace").decode().strip(" \0")


def _plain(dataset: Dataset, keyword: str) -> str | None:
    """Return a value that is stored as plain ASCII text; None if it is not.

    A series has thousands of values, and pydicom takes most of the time to convert them.
    """
    element: Any = dataset.get_item(tag_of(keyword))  # None where it is missing
    if element is None:
        return ""
    value = element.value
    if isinstance(value, bytes) and element.VR in _PLAIN and value.isascii():
        return value.decode("ascii").strip(" \0")
    return None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` numbers, else None."""
    plain = _plain(dataset, keyword)
    value = value_of(dataset, keyword) if plain is None else plain and plain.split("\\")
    if value is None or value == "":
        return None
    several = [value] if isinstance(value, str | int | float) else list(value)
    if len(several) != count:
        return None
    with contextlib.suppress(TypeError, ValueError):
        return tuple(float(one) for one in several)
    return None


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return one number, else None."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def positive(dataset: Dataset, keyword: str) -> float | None:
    """Return one number above 0, else None."""
    found = number(dataset, keyword)
    return found if found is not None and found > 0 else None


def seconds(dataset: Dataset, keyword: str, date: str = "") -> float | None:
    """Return a time (TM, with the element of its date if any) or date and time (DT) in seconds.

    Months count 31 days, so that dates of zeros, as anonymisers write them, are valid, too.
    """
    value = text(dataset, keyword)
    whole = _DATE_TIME.fullmatch(value)
    if whole is not None:
        return _days(*whole.groups()[:3]) * 86400 + (_of_day(whole[4]) or 0.0)
    time = _of_day(value)
    if time is None:
        return None
    day = _DATE.fullmatch(text(dataset, date)) if date else None
    return time if day is None else _days(*day.groups()) * 86400 + time


def _days(year: str, month: str, day: str) -> int:
    return (int(year) * 12 + int(month)) * 31 + int(day)


def _of_day(value: str) -> float | None:
    found = _TIME.fullmatch(value.replace(":", ""))
    if found is None:
        return None
    hours, minutes, whole, fraction = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + whole + fraction
