"""Which labels of a model are parts of the heart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from napari_flomo.models import Label

_CONCEPTS = {"87878005": "left_ventricle", "53085002": "right_ventricle", "74281007": "myocardium"}
_CAVITY = r"(v|[ _-]ventric(le|ular))([ _-](cavity|blood[ _-]pool))?"
_NAMES = {
    "left_ventricle": re.compile(f"l(eft)?{_CAVITY}"),
    "right_ventricle": re.compile(f"r(ight)?{_CAVITY}"),
    "myocardium": re.compile(r"((lv|left[ _-]ventricular)[ _-])?myo(cardium)?"),
}


@dataclass(frozen=True)
class HeartCodes:
    """Label codes of the parts of the heart; None for parts that a model does not segment."""

    left_ventricle: int | None = None
    right_ventricle: int | None = None
    myocardium: int | None = None

    @classmethod
    def of(cls, labels: Iterable[Label]) -> HeartCodes | None:
        """Find the parts in a card's labels by their SNOMED CT concepts, else by their names.

        Returns None without any ventricle.
        """
        parts: dict[str, int] = {}
        for label in labels:
            part = _part_of(label)
            if part is not None:
                parts.setdefault(part, label.code)
        if "left_ventricle" not in parts and "right_ventricle" not in parts:
            return None
        return cls(**parts)


def _part_of(label: Label) -> str | None:
    """Return the field of `HeartCodes` that a label fills, or None."""
    if label.snomed is not None:
        return _CONCEPTS.get(label.snomed.code)
    name = label.name.casefold()
    return next((part for part, pattern in _NAMES.items() if pattern.fullmatch(name)), None)
