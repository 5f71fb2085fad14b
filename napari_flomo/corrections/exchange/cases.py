"""Select corrections for an export, as cases of one frame each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_flomo.corrections.store import Correction, CorrectionStore, Record, State
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume

FOLDS = 5


@dataclass(frozen=True)
class Selection:
    """Which corrections to export: by state, and by the name of the corrected model (None: all)."""

    states: tuple[State, ...] = ("accepted",)
    model: str | None = None

    def includes(self, record: Record) -> bool:
        """Return True if a correction is selected."""
        name = None if record.model is None else record.model.name
        return record.state in self.states and self.model in (None, name)


@dataclass(frozen=True, eq=False)
class Case:
    """One frame with at least one checked slice; axes slices, rows, columns."""

    name: str  # flomo-ID-frame
    group: str  # kept in one fold
    image: Volume
    labels: Volume  # codes as in the store
    seen: tuple[int, ...]


class SelectedCorrections:
    """The selected corrections of a store; raise if there are none, or their codes differ.

    Attributes
    ----------
    skipped
        One sentence for each correction that could not be read.
    """

    def __init__(self, store: CorrectionStore, selection: Selection) -> None:
        self.store = store
        self.skipped: list[str] = []
        self.records = [
            record for record in store.records(self.skipped.append) if selection.includes(record)
        ]
        if not self.records:
            states = " or ".join(selection.states)
            raise FlomoError(
                f"No correction in {store.folder} is {states}, so there is nothing to export."
            )
        tables = {tuple(sorted(record.codes.items())) for record in self.records}
        if len(tables) > 1:
            shown = " and ".join(_shown(dict(table)) for table in sorted(tables)[:2])
            raise FlomoError(
                f"The corrections have different label tables ({shown}); export those of one model "
                "at a time with --model."
            )

    @property
    def structures(self) -> dict[int, str]:
        """Names by code."""
        return self.records[0].codes

    @property
    def modality(self) -> str:
        """The modality of all images; "image" if it is unknown or differs."""
        found = {record.image.modality for record in self.records}
        return (found.pop() or "image") if len(found) == 1 else "image"

    def consecutive(self) -> dict[int, int]:
        """Return 1, 2, 3, ... for the codes in ascending order."""
        return {code: number for number, code in enumerate(sorted(self.structures), 1)}

    def corrections(self) -> Iterator[tuple[Record, Correction, Volume]]:
        """Yield records, corrections and their images; add others to `skipped`."""
        for record in self.records:
            try:
                correction = self.store.read(record.id)
            except FlomoError as error:
                self.skipped.append(f"{error} It was left out.")
                continue
            if correction.image is None:
                self.skipped.append(
                    f"The store has no copy of the image of correction {record.id}; it was left "
                    "out."
                )
            elif "channels" in correction.image.axes:
                self.skipped.append(
                    f"The image of correction {record.id} has colours, which cannot be exported; "
                    "it was left out."
                )
            else:
                yield record, correction, correction.image

    def cases(self) -> Iterator[Case]:
        """Yield the frames with checked slices."""
        for record, correction, image in self.corrections():
            for frame in sorted({frame for frame, _ in correction.seen}):
                yield Case(
                    f"flomo-{record.id}-{frame:03}",
                    record.group,
                    image.frame(frame),
                    correction.corrected.frame(frame),
                    tuple(index for its, index in correction.seen if its == frame),
                )


def recoded(labels: Volume, table: Mapping[int, int]) -> Volume:
    """Return labels with other codes; 0 stays 0."""
    lookup = np.zeros(max(table) + 1, np.uint8 if max(table.values()) < 256 else np.uint16)
    for old, new in table.items():
        lookup[old] = new
    return labels.with_data(lookup[labels.data])


def folds(groups: Sequence[str], count: int = FOLDS) -> dict[str, int]:
    """Return a fold, from 0, for each group, so that folds have similar numbers of cases.

    ``groups`` has the group of every case. The result is deterministic.
    """
    sizes = Counter(groups)
    loads = [0] * min(count, len(sizes))
    result = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], group)):
        fold = loads.index(min(loads))
        result[group] = fold
        loads[fold] += sizes[group]
    return result


def _shown(table: Mapping[int, str]) -> str:
    return ", ".join(f"{code} {name}" for code, name in table.items())
