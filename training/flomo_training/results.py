"""Finished evaluations that are kept for the docs: a table of cases and the facts of its training.

Each is a pair of files, ``NAME-foldK.csv`` and ``NAME-foldK.json``. Those of one NAME are the folds
of one model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flomo_training.bootstrap import Estimate, paired_difference
from flomo_training.evaluate import evaluate_folder
from flomo_training.gallery import WorstCases
from flomo_training.json_files import json_text, read_object
from flomo_training.metrics_table import StructureMetrics, read_metrics, write_metrics
from flomo_training.reports import CASES_TABLE, REPORT
from flomo_training.summary import is_complete, sample
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write_all
from napari_flomo.segmentation import Segmenter

FACTS = (
    "data", "model", "network", "sha256", "postprocessing", "views", "flavour", "fold", "split",
    "seed", "epochs", "slices", "cases", "training_hours", "hardware", "start_from", "versions",
)  # fmt: skip
"""What is kept of a report; its figures are computed anew from the table."""

MIRRORED = "-mirrored"
"""What is added to the name of a model for its figures with mirrored views."""

METRICS = ("dice", "iou", "hd95_mm", "nsd")
"""What models are compared by, where both were measured by it."""

_REQUIRED = ("data", "model", "network", "flavour", "fold", "split", "seed")
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)-fold(?P<fold>\d+)")


@dataclass(frozen=True)
class FoldResult:
    """One fold of one model.

    Attributes
    ----------
    name
        Of the model in the docs; folds share it.
    rows
        The table of cases.
    facts
        How it was trained, see `FACTS`.
    """

    name: str
    rows: Sequence[StructureMetrics]
    facts: Mapping[str, Any]

    @property
    def fold(self) -> int:
        """The fold that was held out."""
        return int(self.facts["fold"])


@dataclass(frozen=True)
class ModelResults:
    """All folds of one model, each patient measured by the one network that never saw it."""

    name: str
    results: Sequence[FoldResult]

    @property
    def rows(self) -> list[StructureMetrics]:
        """The tables of all folds together."""
        return [row for result in self.results for row in result.rows]

    @property
    def facts(self) -> Mapping[str, Any]:
        """Those of the first fold."""
        return self.results[0].facts

    @property
    def views(self) -> str:
        """How the network saw each slice: ``"plain"``, or the mean of ``"mirrored"`` views."""
        return str(self.facts.get("views", "plain"))

    @property
    def is_baseline(self) -> bool:
        """Whether the network is one to compare with, not ours."""
        return not str(self.facts["network"]).startswith("flomo")


@dataclass(frozen=True)
class Difference:
    """A model beside a baseline on the same patients of the same folds.

    Attributes
    ----------
    model, baseline
        Names.
    folds
        That both were measured on.
    patients
        Of those folds.
    figures
        Mean of the model minus mean of the baseline, by metric.
    """

    model: str
    baseline: str
    folds: Sequence[int]
    patients: int
    figures: Mapping[str, Estimate]


def save_run(run: Path, folder: Path, name: str | None = None, *, replace: bool = False) -> Path:
    """Copy the table and the facts of a finished run to where the docs keep them.

    Parameters
    ----------
    run
        Run folder with ``cases.csv`` and ``report.json``.
    folder
        Of the docs.
    name
        What to call the model; its own name by default.
    replace
        Whether a table of other weights under the same name may be replaced.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    FlomoError
        If the run has no report, or another result has the name.
    """
    report = read_object(run / REPORT, "let the training finish, or call flomo train again")
    facts = {key: report[key] for key in FACTS if report.get(key) is not None}
    _check_facts(facts, run / REPORT)
    rows = read_metrics(run / CASES_TABLE)
    return _keep(rows, facts, folder, name or facts["model"], replace=replace)


def _keep(
    rows: Sequence[StructureMetrics],
    facts: Mapping[str, Any],
    folder: Path,
    name: str,
    *,
    replace: bool = False,
) -> Path:
    stem = f"{name}-fold{facts['fold']}"
    if _NAME.fullmatch(stem) is None:
        raise FlomoError(f"{stem!r} is no name for a file; use letters, digits, '.', '-' and '_'.")
    table, noted = folder / f"{stem}.csv", folder / f"{stem}.json"
    if table.exists() and not replace:
        before = read_object(noted, "remove the table or write its facts") if noted.exists() else {}
        if before.get("sha256") != facts.get("sha256"):
            raise FlomoError(
                f"{table} holds the figures of other weights; choose another name with --name, or "
                "add --replace."
            )
    with atomic_write_all([table, noted]) as (temporary_table, temporary_noted):
        write_metrics(rows, temporary_table)
        temporary_noted.write_text(json_text(facts), encoding="utf-8")
    return table


def evaluate_mirrored(
    table: Path, segmenter: Segmenter, source: Path, *, replace: bool = False
) -> Path:
    """Measure a model of the docs once more with mirrored views, and keep that beside it.

    Parameters
    ----------
    table
        What `save_run` returned for the model.
    segmenter
        The model.
    source
        Folder of the data set.
    replace
        As of `save_run`.

    Returns
    -------
    Path
        The new table.

    Raises
    ------
    FlomoError
        If the segmenter has other weights, or the data is not as it should be.
    """
    noted = table.with_suffix(".json")
    facts = read_object(noted, "take in the run first")
    _check_facts(facts, noted)
    if facts.get("sha256") != segmenter.card.sha256:
        raise FlomoError(f"{noted} is of other weights than {segmenter.card.name} has.")
    rows, _summary = evaluate_folder(
        source, facts["fold"], facts["split"], segmenter, WorstCases(), mirrored=True
    )
    name = table.stem.rpartition("-fold")[0] + MIRRORED
    return _keep(rows, facts | {"views": "mirrored"}, table.parent, name, replace=replace)


def read_results(folder: Path) -> list[ModelResults]:
    """Read all results that a folder keeps: by data set, ours before baselines, name and fold.

    Raises
    ------
    FlomoError
        If a file is broken, facts are missing, or a patient stands in two folds of one model.
    """
    found: dict[tuple[str, str], list[FoldResult]] = {}
    for table in sorted(folder.glob("*.csv")):
        match = _NAME.fullmatch(table.stem)
        if match is None:
            continue
        noted = table.with_suffix(".json")
        facts = read_object(noted, "keep the run anew")
        _check_facts(facts, noted)
        if int(match["fold"]) != facts["fold"]:
            raise FlomoError(f"{noted} is of fold {facts['fold']}; its name says otherwise.")
        result = FoldResult(match["name"], read_metrics(table), facts)
        found.setdefault((str(facts["data"]), result.name), []).append(result)
    series = [
        ModelResults(name, sorted(results, key=lambda result: result.fold))
        for (_, name), results in sorted(found.items())
    ]
    # Baselines stand below what is compared with them.
    series.sort(key=lambda one: (one.facts["data"], one.is_baseline, one.name))
    for one in series:
        patients = [
            patient for result in one.results for patient in {row.patient for row in result.rows}
        ]
        if len(patients) != len(set(patients)):
            raise FlomoError(f"A patient stands in two folds of {one.name}; that is a leak.")
    return series


def compare_with_baselines(series: Iterable[ModelResults]) -> list[Difference]:
    """Return every model beside every baseline that was measured on the same patients.

    Metrics that one of the two was not measured by are left out.
    """
    everyone = list(series)
    return [
        _difference(model, baseline, folds)
        for model in everyone
        for baseline in everyone
        if baseline.is_baseline
        and not model.is_baseline
        and model.facts["data"] == baseline.facts["data"]
        and model.views == baseline.views
        for folds in [_common_folds(model, baseline)]
        if folds
    ]


def compare_views(series: Iterable[ModelResults]) -> list[Difference]:
    """Return every model with mirrored views beside itself with plain ones."""
    everyone = {one.name: one for one in series}
    return [
        _difference(mirrored, plain, folds)
        for name, mirrored in everyone.items()
        if name.endswith(MIRRORED) and name.removesuffix(MIRRORED) in everyone
        for plain in [everyone[name.removesuffix(MIRRORED)]]
        for folds in [_common_folds(mirrored, plain)]
        if folds
    ]


def _common_folds(model: ModelResults, baseline: ModelResults) -> list[int]:
    """Return the folds whose cases and structures are the same in both."""
    units = [
        {r.fold: {(row.case, row.structure) for row in r.rows} for r in one.results}
        for one in (model, baseline)
    ]
    return [fold for fold in units[0] if units[0][fold] == units[1].get(fold)]


def _difference(model: ModelResults, baseline: ModelResults, folds: Sequence[int]) -> Difference:
    ours, theirs = (
        [row for result in one.results if result.fold in folds for row in result.rows]
        for one in (model, baseline)
    )
    figures = {
        metric: paired_difference(sample(ours, metric), sample(theirs, metric))
        for metric in METRICS
        if is_complete(ours, metric) and is_complete(theirs, metric)
    }
    patients = len({row.patient for row in ours})
    return Difference(model.name, baseline.name, folds, patients, figures)


def _check_facts(facts: Mapping[str, Any], path: Path) -> None:
    if missing := [key for key in _REQUIRED if facts.get(key) is None]:
        raise FlomoError(f"{path} does not say the {missing[0]} of the model; add it.")
