"""The report on a model's uncertainty: figures in JSON, slices in CSV, pictures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flomo_training.bootstrap import RESAMPLES
from flomo_training.cases import Case
from flomo_training.uncertainty.band import BAND_MM
from flomo_training.uncertainty.ece import BINS
from flomo_training.uncertainty.figures import (
    GOOD_DICE,
    calibration_figures,
    finding_figures,
    map_figures,
    quality_figures,
    strata_figures,
)
from flomo_training.uncertainty.fold import Measured, measure_fold
from flomo_training.uncertainty.plots import draw_finding, draw_reliability, draw_risk_coverage
from flomo_training.uncertainty.records import SliceRecord
from napari_flomo.files import atomic_write
from napari_flomo.progress import ProgressCallback
from napari_flomo.segmentation import MAPS, Segmenter

REPORT = "report.json"
SLICES = "slices.csv"
RELIABILITY = "reliability.png"
FINDING = "finding.png"
RISK_COVERAGE = "risk_coverage.png"

CHOSEN = "entropy_area"
"""The order of review that viewers use: `Segmentation.slice_scores`."""

DRAWN = {
    "entropy_area": "area of uncertainty (the viewers' order)",
    "expected_error": "expected error, ml",
    "boundary": "width of uncertainty, mm",
    "anatomical": "base and apex first",
    "largest_first": "largest first",
}

PROTOCOL = (
    "Temperatures are fitted by likelihood in the band on one half of the patients and used on the "
    "other half, and the other way round; the halves have equal shares of each group. Band: pixels "
    f"within {BAND_MM:g} mm, in the plane, of a contour of the result or of the reference. ECE: "
    f"probability of the class that wins against how often it is right, {BINS} bins of equal width "
    "(adaptive: of equally many pixels), before labels are tidied. Errors: finished labels against "
    "the reference, on the image's own grid. A bad slice has a mean Dice below "
    f"{GOOD_DICE:g} over the structures that result or reference hold in it. Intervals: 95 %, "
    f"bootstrap over patients, {RESAMPLES} draws, seed 0."
)


def maps_offered(segmenter: Segmenter) -> list[str]:
    """Return the names of all maps that a model has."""
    return [name for name, kind in MAPS.items() if kind.offered_by(segmenter.card.network)]


def write_uncertainty(
    folder: Path,
    segmenter: Segmenter,
    cases: Sequence[Case],
    facts: Mapping[str, Any],
    *,
    maps: Iterable[str] | None = None,
    progress: ProgressCallback | None = None,
    mirrored: bool = False,
) -> dict[str, Any]:
    """Measure a model's uncertainty on cases that it never saw, and write all that is found.

    Parameters
    ----------
    folder
        Where `REPORT`, `SLICES` and the pictures go; made if it is not there.
    segmenter
        The model.
    cases
        Held out.
    facts
        Name of the data, fold and split, for the report.
    maps
        Which maps to judge; by default all that the model has.
    progress
        Called with the cases done and in total.
    mirrored
        Whether with mirrored views, see `measure_fold`.

    Returns
    -------
    dict
        What the report holds.

    Raises
    ------
    FlomoError
        If there are fewer than two patients, or a file is broken or cannot be written.
    """
    names = maps_offered(segmenter) if maps is None else list(maps)
    measured = measure_fold(segmenter, cases, names, progress, mirrored=mirrored)
    report = compose(measured, segmenter, facts)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(report, folder / REPORT)
    write_slices(measured.after, folder / SLICES)
    draw_reliability(measured.before, measured.after, folder / RELIABILITY)
    draw_finding(measured.after, DRAWN, folder / FINDING)
    draw_risk_coverage(measured.after, folder / RISK_COVERAGE)
    return report


def compose(measured: Measured, segmenter: Segmenter, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return all figures of a measurement in plain JSON types."""
    records = measured.after
    temperatures = sorted({fit.temperature for fit in measured.fits.values()})
    return {
        "model": segmenter.card.name,
        "network": segmenter.card.network,
        "sha256": segmenter.card.sha256,
        **facts,
        "volumes": len({one.case for one in records}),
        "protocol": PROTOCOL,
        "calibration": {
            "temperature": measured.whole.temperature,
            "cross_fitted": temperatures,
            "nll": dict(measured.vector),
            **calibration_figures(measured.before, records),
        },
        "maps": map_figures(records),
        "finding": finding_figures(records, CHOSEN),
        "strata": strata_figures(records),
        "quality": quality_figures(records),
    }


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write strict JSON."""
    text = json.dumps(_without_nan(content), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_slices(records: Sequence[SliceRecord], path: Path) -> None:
    """Write a row for each slice: errors, Dice and all scores."""
    names = list(records[0].scores)
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        head = ["case", "patient", "phase", "slice", "slices", "wrong_voxels", "wrong_ml", "dice"]
        writer.writerow([*head, "contrast", "size_mm2", *names])
        for one in records:
            numbers = [one.wrong * one.voxel_ml, one.dice, one.contrast, one.size_mm2]
            numbers += [one.scores[name] for name in names]
            writer.writerow(
                [one.case, one.patient, one.phase, one.index, one.slices, one.wrong]
                + ["" if math.isnan(number) else f"{number:.5g}" for number in numbers]
            )


def as_text(report: Mapping[str, Any]) -> str:
    """Return what a person reads in a terminal."""
    calibration, finding = report["calibration"], report["finding"]
    band = calibration["foreground band"]
    queue = finding["wrong voxels, every volume"]
    found = queue["found"][CHOSEN][1][0]
    best = max(report["maps"], key=lambda name: report["maps"][name]["auroc"][0] or 0)
    return "\n".join(
        [
            f"temperature {calibration['temperature']:g}; ECE in the band "
            f"{band['before']['ece'][0]:.3f} before, {band['after']['ece'][0]:.3f} after",
            f"best map for wrong pixels: {best}, AUROC {report['maps'][best]['auroc'][0]:.3f}",
            f"the first 20 % of the slices of every volume hold {found:.0%} of the wrong voxels "
            f"(an oracle: {queue['found']['oracle'][1][0]:.0%}, base and apex first: "
            f"{queue['found']['anatomical'][1][0]:.0%})",
        ]
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
