"""Shifted images, measured volume by volume: a file for each, so that a run goes on where it ended.

A file counts if it was made with the same weights, temperature, slices and degradations; any other
is measured anew and replaced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flomo_training.cases import Case
from flomo_training.uncertainty.calibration import collect_cases, cross_fit
from flomo_training.uncertainty.fold import at_temperature
from flomo_training.uncertainty.report import write_json
from flomo_training.uncertainty.shift import DEGRADATIONS
from flomo_training.uncertainty.shifted import EVERY, ShiftRow, measure_shift
from napari_flomo.files import make_folder
from napari_flomo.models import ModelCard
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.segmentation import Segmenter
from napari_flomo.tables import read_text

TEMPERATURES = "temperatures.json"


def measure_missing(
    folder: Path,
    cases: Sequence[Case],
    segmenter: Segmenter,
    temperatures: Mapping[str, float],
    *,
    engine: str = "eager",
    progress: ProgressCallback | None = None,
) -> None:
    """Measure the volumes that have no file yet, one after the other.

    Parameters
    ----------
    folder
        Of the files; made if it is not there.
    cases
        Volumes of one frame.
    segmenter
        The model.
    temperatures
        By patient.
    engine
        What runs the network, as `Segmenter` takes it.
    progress
        Called with each volume that was measured: its number, their total, and its name.

    Raises
    ------
    FlomoError
        If a file is broken or cannot be written.
    """
    make_folder(folder)
    at: dict[float, Segmenter] = {}  # an engine is made once for each
    for done, case in enumerate(cases, start=1):
        temperature = temperatures[case.patient]
        if read_rows(folder, case, segmenter.card, temperature) is not None:
            continue
        if temperature not in at:
            at[temperature] = at_temperature(segmenter, temperature, engine)
        rows = measure_shift(case, at[temperature])
        content = made_with(segmenter.card, temperature) | {"rows": [asdict(row) for row in rows]}
        write_json(content, folder / f"{case.name}.json")
        if progress is not None:
            progress(Progress(done, len(cases), case.name))


def read_rows(
    folder: Path, case: Case, card: ModelCard, temperature: float
) -> list[ShiftRow] | None:
    """Return the rows of a volume; None if there are none that were made in this way."""
    content = _read(folder / f"{case.name}.json")
    wanted = made_with(card, temperature)
    if {name: content.get(name) for name in wanted} != wanted:
        return None
    try:
        rows: list[dict[str, Any]] = [
            {name: math.nan if one is None else one for name, one in row.items()}
            for row in content["rows"]
        ]
        return [ShiftRow(**row) for row in rows]
    except (AttributeError, LookupError, TypeError):
        return None


def made_with(card: ModelCard, temperature: float) -> dict[str, Any]:
    """Return what decides about the figures of a volume, in plain JSON types."""
    strengths = {kind: list(grades) for kind, (_, grades, _) in DEGRADATIONS.items()}
    return {
        "weights": card.sha256,
        "temperature": temperature,
        "every": EVERY,
        "degradations": strengths,
    }


def fitted_temperatures(
    folder: Path, segmenter: Segmenter, cases: Sequence[Case]
) -> dict[str, float]:
    """Return for each patient the temperature of the half without that patient, fitted once.

    Parameters
    ----------
    folder
        Where they are kept.
    segmenter
        The model.
    cases
        All held-out ones.
    """
    card, path = segmenter.card, folder / TEMPERATURES
    known = _read(path)
    patients = {case.patient for case in cases}
    found = known.get("temperatures")
    if known.get("weights") == card.sha256 and isinstance(found, dict) and set(found) == patients:
        return {patient: float(value) for patient, value in found.items()}
    fits = cross_fit(collect_cases(segmenter, cases), cases, card)
    fitted = {patient: fit.temperature for patient, fit in sorted(fits.items())}
    make_folder(folder)
    write_json({"weights": card.sha256, "temperatures": fitted}, path)
    return fitted


def _read(path: Path) -> dict[str, Any]:
    """Return what a file holds; nothing if it is not there or damaged."""
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
