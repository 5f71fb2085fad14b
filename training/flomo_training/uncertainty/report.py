"""Report on a model's uncertainty: statistics in JSON, slices in CSV, and plots."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flomo_training.bootstrap import RESAMPLES
from flomo_training.cases import Case
from flomo_training.json_files import write_json
from flomo_training.uncertainty.band import BAND_MM
from flomo_training.uncertainty.cross_fitting import FoldMeasurement, measure_fold
from flomo_training.uncertainty.plots import draw_error_recall, draw_reliability, draw_risk_coverage
from flomo_training.uncertainty.records import SliceRecord
from flomo_training.uncertainty.reliability import BINS
from flomo_training.uncertainty.statistics import (
    BAD_SLICE_DICE,
    calibration_statistics,
    map_statistics,
    quality_statistics,
    recall_statistics,
    strata_statistics,
)
from napari_flomo.files import atomic_write
from napari_flomo.progress import ProgressCallback
from napari_flomo.segmentation import MAPS, Segmenter

REPORT = "report.json"
SLICES = "slices.csv"
RELIABILITY = "reliability.png"
FINDING = "finding.png"
RISK_COVERAGE = "risk_coverage.png"

REVIEW_ORDER = "entropy_area"
"""The order of review in the viewers: `Segmentation.slice_scores`."""

PLOTTED_ORDERS = {
    "entropy_area": "area of uncertainty (the viewers' order)",
    "expected_error": "expected error, ml",
    "boundary": "width of uncertainty, mm",
    "anatomical": "base and apex first",
    "largest_first": "largest first",
}

PROTOCOL = (
    "Temperatures are fitted by maximum likelihood in the band on one half of the patients and "
    "used on the other, and vice versa; the halves are stratified by group. Band: pixels within "
    f"{BAND_MM:g} mm, in plane, of a contour of the result or of the reference. ECE: probability "
    f"of the predicted class against its accuracy, {BINS} bins of equal width (adaptive: of "
    "equally many pixels), before postprocessing. Errors: final labels against the reference, on "
    f"the grid of the image. A bad slice has a mean Dice below {BAD_SLICE_DICE:g} over the "
    "structures in result or reference. Intervals: 95 %, bootstrap over patients, "
    f"{RESAMPLES} resamples, seed 0."
)


def maps_offered(segmenter: Segmenter) -> list[str]:
    """Return the names of all uncertainty maps of a model."""
    return [name for name, kind in MAPS.items() if kind.offered_by(segmenter.card.network)]


def write_uncertainty(
    folder: Path,
    segmenter: Segmenter,
    cases: Sequence[Case],
    facts: Mapping[str, Any],
    *,
    progress: ProgressCallback | None = None,
    mirrored: bool = False,
) -> dict[str, Any]:
    """Measure a model's uncertainty on cases that it was not trained on, and write the report.

    Parameters
    ----------
    folder
        Folder for `REPORT`, `SLICES` and the plots, created if missing.
    segmenter, cases
        The model and held-out cases.
    facts
        Name of the data, fold and split, for the report.
    progress
        Called with the cases done and in total.
    mirrored
        Whether to use mirrored views, see `measure_fold`.

    Returns
    -------
    dict
        Content of the report.

    Raises
    ------
    FlomoError
        If there are fewer than two patients, or a file is damaged or cannot be written.
    """
    maps = maps_offered(segmenter)
    measured = measure_fold(segmenter, cases, maps, progress, mirrored=mirrored)
    report = compose(measured, segmenter, facts)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(report, folder / REPORT)
    write_slices(measured.after, folder / SLICES)
    draw_reliability(measured.before, measured.after, folder / RELIABILITY)
    draw_error_recall(measured.after, PLOTTED_ORDERS, folder / FINDING)
    draw_risk_coverage(measured.after, folder / RISK_COVERAGE)
    return report


def compose(
    measured: FoldMeasurement, segmenter: Segmenter, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all statistics in plain JSON types."""
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
            **calibration_statistics(measured.before, records),
        },
        "maps": map_statistics(records),
        "finding": recall_statistics(records, REVIEW_ORDER),
        "strata": strata_statistics(records),
        "quality": quality_statistics(records),
    }


def write_slices(records: Sequence[SliceRecord], path: Path) -> None:
    """Write a row with errors, Dice and all scores for each slice."""
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
    """Return a summary as text."""
    calibration, finding = report["calibration"], report["finding"]
    band = calibration["foreground band"]
    queue = finding["wrong voxels, every volume"]
    found = queue["found"][REVIEW_ORDER][1][0]
    best = max(report["maps"], key=lambda name: report["maps"][name]["auroc"][0] or 0)
    return "\n".join(
        [
            f"temperature {calibration['temperature']:g}; ECE in the band "
            f"{band['before']['ece'][0]:.3f} before, {band['after']['ece'][0]:.3f} after",
            f"best map for wrong pixels: {best}, AUROC {report['maps'][best]['auroc'][0]:.3f}",
            f"the first 20 % of the slices of every volume contain {found:.0%} of the wrong voxels "
            f"(an oracle: {queue['found']['oracle'][1][0]:.0%}, base and apex first: "
            f"{queue['found']['anatomical'][1][0]:.0%})",
        ]
    )
