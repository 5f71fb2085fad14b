"""Results on degraded images, one file per volume, so that a run can be resumed.

A file is reused if it was made with the same weights, temperature, slices and degradations;
otherwise the volume is measured again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flomo_training.cases import Case
from flomo_training.json_files import write_json
from flomo_training.uncertainty.calibration import collect_patient_pixels, cross_fit_temperatures
from flomo_training.uncertainty.cross_fitting import at_temperature
from flomo_training.uncertainty.degradations import DEGRADATIONS
from flomo_training.uncertainty.robustness import EVERY, DegradationResult, measure_degradations
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
    progress: ProgressCallback | None = None,
) -> None:
    """Measure the volumes of one frame that have no file yet.

    ``temperatures`` are by patient. ``progress`` is called with each measured volume: its number,
    their total, and its name. Raises a `FlomoError` if a file is damaged or cannot be written.
    """
    make_folder(folder)
    at: dict[float, Segmenter] = {}  # create each engine once
    for done, case in enumerate(cases, start=1):
        temperature = temperatures[case.patient]
        if read_results_of(folder, case, segmenter.card, temperature) is not None:
            continue
        if temperature not in at:
            at[temperature] = at_temperature(segmenter, temperature)
        rows = measure_degradations(case, at[temperature])
        content = provenance_of(segmenter.card, temperature) | {
            "rows": [asdict(row) for row in rows]
        }
        write_json(content, folder / f"{case.name}.json")
        if progress is not None:
            progress(Progress(done, len(cases), case.name))


def read_results_of(
    folder: Path, case: Case, card: ModelCard, temperature: float
) -> list[DegradationResult] | None:
    """Return the results of a volume; None if there are none with this provenance."""
    content = _read(folder / f"{case.name}.json")
    wanted = provenance_of(card, temperature)
    if {name: content.get(name) for name in wanted} != wanted:
        return None
    try:
        rows: list[dict[str, Any]] = [
            {name: math.nan if one is None else one for name, one in row.items()}
            for row in content["rows"]
        ]
        return [DegradationResult(**row) for row in rows]
    except (AttributeError, LookupError, TypeError):
        return None


def provenance_of(card: ModelCard, temperature: float) -> dict[str, Any]:
    """Return everything that influences the results of a volume, in plain JSON types."""
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
    """Return for each patient the temperature of the half without this patient.

    They are fitted once on all held-out cases and stored in ``folder``.
    """
    card, path = segmenter.card, folder / TEMPERATURES
    known = _read(path)
    patients = {case.patient for case in cases}
    found = known.get("temperatures")
    if known.get("weights") == card.sha256 and isinstance(found, dict) and set(found) == patients:
        return {patient: float(value) for patient, value in found.items()}
    fits = cross_fit_temperatures(collect_patient_pixels(segmenter, cases), cases, card)
    fitted = {patient: fit.temperature for patient, fit in sorted(fits.items())}
    make_folder(folder)
    write_json({"weights": card.sha256, "temperatures": fitted}, path)
    return fitted


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a file; empty if it is missing or damaged."""
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
