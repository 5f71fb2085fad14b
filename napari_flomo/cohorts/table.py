"""``cohort.csv``: a line for each study, for spreadsheets and statistics."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from napari_flomo.cohorts.row import Row
from napari_flomo.files import atomic_write

TABLE = "cohort.csv"

_ALWAYS = ("study", "state", "error", "labels", "frames", "slices")
_UNCERTAINTY = ("most_uncertain_frame", "most_uncertain_slice", "most_uncertain_score")
_ORIGIN = ("model", "card_sha256", "device", "engine", "input_sha256", "seconds", "attempts")
_REMARKS = ("remarks",)


def write_table(out: Path, rows: Callable[[], Iterable[Row]], structures: Iterable[str]) -> Path:
    """Write the table of a results folder; one row at a time is in memory.

    Parameters
    ----------
    out
        The results folder.
    rows
        Gives the rows, in the order of the table.
    structures
        Names of the model's structures, in the order of the columns: for each the largest and the
        smallest volume among the frames.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FlomoError
        If it cannot be written.
    """
    names = list(structures)
    sizes = [f"{name}_ml_{which}" for name in names for which in ("max", "min")]
    path = out / TABLE
    with (
        atomic_write(path) as temporary,
        # A name of a file that is no valid text must not end the run.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*_ALWAYS, *sizes, *_UNCERTAINTY, *_ORIGIN, *_REMARKS])
        for row in rows():
            writer.writerow(["" if cell is None else cell for cell in _cells(row, names)])
    return path


def _cells(row: Row, names: list[str]) -> Iterator[Any]:
    manifest = row.manifest
    model = manifest.get("model", {})
    yield from (row.study, row.state, row.error, row.outputs.get("labels"))
    yield len(row.slice_scores) or None
    yield len(row.slice_scores[0]) if row.slice_scores else None
    for name in names:
        found = [one["ml"] for one in row.volumes_ml if one["name"] == name]
        known = [ml for ml in found if ml is not None]
        yield max(known, default=None)
        yield min(known, default=None)
    uncertainty = row.most_uncertain or {}
    yield from (uncertainty.get("frame"), uncertainty.get("slice"), uncertainty.get("score"))
    yield from (model.get("name"), model.get("card_sha256"), manifest.get("device"))
    yield manifest.get("engine", {}).get("name")
    yield None if row.input is None else row.input.sha256
    yield row.seconds.get("total")
    yield row.attempts
    yield " ".join([*manifest.get("input", {}).get("notes", ()), *manifest.get("warnings", ())])
