"""Write ``cohort.csv``: a row for each study."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.files import atomic_write

TABLE = "cohort.csv"

_ALWAYS = ("study", "state", "error", "labels", "frames", "slices")
_UNCERTAINTY = ("most_uncertain_frame", "most_uncertain_slice", "most_uncertain_score")
_ORIGIN = ("model", "card_sha256", "device", "engine", "input_sha256", "seconds", "attempts")
_REMARKS = ("remarks",)


@contextmanager
def csv_writer(path: Path) -> Iterator[Any]:
    """Yield a ``csv.writer`` of a file that appears when the block succeeds."""
    with (
        atomic_write(path) as temporary,
        # A file name that is not valid UTF-8 must not end the run.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        yield csv.writer(stream, lineterminator="\n")


def write_table(
    out: Path, results: Callable[[], Iterable[StudyResult]], structures: Iterable[str]
) -> Path:
    """Write the table of a results folder, with one row in memory at a time.

    ``results`` returns the results in the order of the table; ``structures`` are the names of the
    model's structures, whose largest and smallest volumes over the frames are columns.
    """
    names = list(structures)
    sizes = [f"{name}_ml_{which}" for name in names for which in ("max", "min")]
    path = out / TABLE
    with csv_writer(path) as writer:
        writer.writerow([*_ALWAYS, *sizes, *_UNCERTAINTY, *_ORIGIN, *_REMARKS])
        for result in results():
            writer.writerow(["" if cell is None else cell for cell in _cells(result, names)])
    return path


def _cells(result: StudyResult, names: list[str]) -> Iterator[Any]:
    manifest = result.manifest
    model = manifest.get("model", {})
    yield from (result.study, result.state, result.error, result.outputs.get("labels"))
    yield len(result.slice_scores) or None
    yield len(result.slice_scores[0]) if result.slice_scores else None
    for name in names:
        found = [one["ml"] for one in result.volumes_ml if one["name"] == name]
        known = [ml for ml in found if ml is not None]
        yield max(known, default=None)
        yield min(known, default=None)
    uncertainty = result.most_uncertain or {}
    yield from (uncertainty.get("frame"), uncertainty.get("slice"), uncertainty.get("score"))
    yield from (model.get("name"), model.get("card_sha256"), manifest.get("device"))
    yield manifest.get("engine", {}).get("name")
    yield None if result.input is None else result.input.sha256
    yield result.seconds.get("total")
    yield result.attempts
    yield " ".join([*manifest.get("input", {}).get("notes", ()), *manifest.get("warnings", ())])
