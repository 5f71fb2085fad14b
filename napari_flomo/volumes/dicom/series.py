"""Group DICOM images into series, and choose one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.joining import join
from napari_flomo.volumes.dicom.planes import Plane

_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
_LOCALIZER = re.compile(r"\b(?:locali[sz]er|scout|survey|topogram|3.?plane)", re.IGNORECASE)
_MOST_LISTED = 20


class SeveralSeries(FlomoError):
    """Several series match, and one must be chosen.

    Attributes
    ----------
    choices
        For each, the value of ``series``, and a description.
    """

    def __init__(self, message: str, entries: Sequence[SeriesChoice]) -> None:
        super().__init__(message)
        self.choices = [(anonymous_name(entry.uids), entry.describe()) for entry in entries]


@dataclass(frozen=True)
class SeriesChoice:
    """A series, or a stack of series of one slice each."""

    groups: tuple[tuple[Plane, ...], ...]  # the images of each series
    name: str = ""  # its number if unique, else its UID

    @property
    def planes(self) -> list[Plane]:
        """All images."""
        return [plane for group in self.groups for plane in group]

    @property
    def uids(self) -> list[str]:
        """The instance UIDs of its series."""
        return [group[0].file.series_uid for group in self.groups]

    @property
    def numbers(self) -> list[str]:
        """The numbers of its series that have one."""
        numbers = {group[0].file.series_number for group in self.groups} - {""}
        return sorted(numbers, key=lambda number: (len(number), number))

    @property
    def is_localizer(self) -> bool:
        """Whether it is a localizer or a screenshot."""
        return all(
            _is_localizer(plane)
            or plane.file.sop_class.startswith(_SECONDARY)
            or _LOCALIZER.search(plane.file.description)
            for plane in self.planes
        )

    def describe(self) -> str:
        """Return a description for lists."""
        file = self.groups[0][0].file
        description = f" '{file.description}'" if file.description else ""
        joined = f", {len(self.groups)} series of one slice each" if len(self.groups) > 1 else ""
        return (
            f"{self.name}{description} ({file.modality or 'unknown modality'}, "
            f"{len(self.planes)} images of {file.rows} x {file.columns}{joined})"
        )


def anonymous_name(uids: Sequence[str]) -> str:
    """Return an anonymous name that is the same for the same series."""
    content = "\n".join(sorted(uids))
    return "dicom-" + hashlib.sha256(content.encode()).hexdigest()[:12]


def list_series(planes: Sequence[Plane]) -> list[SeriesChoice]:
    """Return all series of some images, in the order of their numbers."""
    groups: dict[str, list[Plane]] = {}
    for plane in planes:
        groups.setdefault(plane.file.series_uid, []).append(plane)
    series = [_without_localizers(group) for group in groups.values()]
    entries = [
        SeriesChoice(tuple(tuple(series[number]) for number in numbers)) for numbers in join(series)
    ]
    names = [_name(entry) for entry in entries]
    named = [
        SeriesChoice(entry.groups, name if names.count(name) == 1 else entry.uids[0])
        for entry, name in zip(entries, names, strict=True)
    ]
    return sorted(named, key=lambda entry: (len(entry.name), entry.name))


def choose_series(
    entries: Sequence[SeriesChoice], wanted: str | int | None, where: str
) -> tuple[SeriesChoice, str]:
    """Return the requested series, and a note about skipped ones (or ""); raise if unclear.

    ``wanted`` is the number, description, instance UID or `anonymous_name` of a series, or None for
    the only one; ``where`` is the folder, for messages.
    """
    if wanted is None:
        others = [entry for entry in entries if not entry.is_localizer]
        if len(entries) == 1:
            return entries[0], ""
        if len(others) == 1:
            return others[0], (
                f"{len(entries) - 1} other series (localizers or screenshots) "
                f"{'was' if len(entries) == 2 else 'were'} skipped."
            )
        raise SeveralSeries(
            f"The folder {where} holds {len(entries)} series: {_list(entries)}; choose one of them "
            "by its number, description or UID (--series, or series=...).",
            entries,
        )
    text = " ".join(str(wanted).split())
    for entry in entries:  # a UID selects a single series, also from a stack
        for group in entry.groups:
            if len(entry.groups) > 1 and _is_uid(text, [group[0].file.series_uid]):
                return SeriesChoice((group,), entry.name), ""
    found = [entry for entry in entries if matches(entry, text)]
    if len(found) == 1:
        return found[0], ""
    if not found:
        raise FlomoError(
            f"The folder {where} holds no series {text}; there is {_list(entries)}, choose one of "
            "them."
        )
    raise SeveralSeries(
        f"The folder {where} holds {len(found)} series {text}: {_list(found, uids=True)}; choose "
        "one of them by its UID.",
        found,
    )


def matches(entry: SeriesChoice, wanted: str | int) -> bool:
    """Return True if a number, description, instance UID or `anonymous_name` means an entry."""
    text = " ".join(str(wanted).split())
    number = text.lstrip("0") or "0"
    return (
        text == entry.name
        or (text.isdecimal() and number in entry.numbers)
        or _is_uid(text, entry.uids)
        or any(group[0].file.description.casefold() == text.casefold() for group in entry.groups)
    )


def _is_uid(text: str, uids: Sequence[str]) -> bool:
    return bool(text) and (text in uids or text == anonymous_name(uids))


def _name(entry: SeriesChoice) -> str:
    numbers = entry.numbers
    if not numbers:
        return entry.uids[0]
    return numbers[0] if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def _list(entries: Sequence[SeriesChoice], *, uids: bool = False) -> str:
    shown = [
        (f"{entry.uids[0]} = " if uids and entry.uids[0] != entry.name else "") + entry.describe()
        for entry in entries[:_MOST_LISTED]
    ]
    more = len(entries) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _is_localizer(plane: Plane) -> bool:
    return "LOCALIZER" in plane.kind.get("image type", "").upper().replace("/", "\\").split("\\")


def _without_localizers(group: Sequence[Plane]) -> list[Plane]:
    """Remove the localizer image that some scanners add to the series planned on it."""
    rest = [plane for plane in group if not _is_localizer(plane)]
    return rest or list(group)
