"""Evaluation results for the benchmark pages.

Each result is a pair of files, ``NAME-foldK.csv`` with the table of cases and ``NAME-foldK.json``
with the facts of the training. Files with the same NAME are the folds of one model.
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
"""Keys of a report to keep; its metrics are computed again from the table."""

MIRRORED = "-mirrored"
"""Suffix of the name of a model for results with mirrored views."""

METRICS = ("dice", "iou", "hd95_mm", "nsd")
"""Metrics for the comparison of models."""

_REQUIRED = ("data", "model", "network", "flavour", "fold", "split", "seed")
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)-fold(?P<fold>\d+)")


@dataclass(frozen=True)
class FoldResult:
    """One fold of one model: name on the page, table of cases, and `FACTS` of the training."""

    name: str
    rows: Sequence[StructureMetrics]
    facts: Mapping[str, Any]

    @property
    def fold(self) -> int:
        """The held-out fold."""
        return int(self.facts["fold"])


@dataclass(frozen=True)
class ModelResults:
    """Results of all folds of one model."""

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
        """``"plain"``, or ``"mirrored"`` for predictions averaged over mirrored views."""
        return str(self.facts.get("views", "plain"))

    @property
    def is_baseline(self) -> bool:
        """Whether the network is a baseline."""
        return not str(self.facts["network"]).startswith("flomo")


@dataclass(frozen=True)
class Difference:
    """Difference of two models on the same patients of the same folds.

    ``figures`` has the mean of the model minus the mean of the baseline, by metric.
    """

    model: str
    baseline: str
    folds: Sequence[int]
    patients: int
    figures: Mapping[str, Estimate]


def save_run(run: Path, folder: Path, name: str | None = None, *, replace: bool = False) -> Path:
    """Copy the table and the facts of a finished run to the folder of the benchmark pages.

    Parameters
    ----------
    run
        Run folder with ``cases.csv`` and ``report.json``.
    folder
        Folder of the benchmark pages.
    name
        Name of the model on the page; its own name by default.
    replace
        Whether to overwrite a table of other weights with the same name.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    FlomoError
        If the run has no report, or the name is used by other weights.
    """
    report = read_object(run / REPORT, "finish the training first")
    facts = {key: report[key] for key in FACTS if report.get(key) is not None}
    _check_facts(facts, run / REPORT)
    rows = read_metrics(run / CASES_TABLE)
    return _save(rows, facts, folder, name or facts["model"], replace=replace)


def _save(
    rows: Sequence[StructureMetrics],
    facts: Mapping[str, Any],
    folder: Path,
    name: str,
    *,
    replace: bool = False,
) -> Path:
    stem = f"{name}-fold{facts['fold']}"
    if _NAME.fullmatch(stem) is None:
        raise FlomoError(
            f"{stem!r} is not a valid file name; use letters, digits, '.', '-' and '_'."
        )
    table, noted = folder / f"{stem}.csv", folder / f"{stem}.json"
    if table.exists() and not replace:
        before = read_object(noted, "remove the table or write its facts") if noted.exists() else {}
        if before.get("sha256") != facts.get("sha256"):
            raise FlomoError(
                f"{table} contains results of other weights; choose another name with --name, or "
                "add --replace."
            )
    with atomic_write_all([table, noted]) as (temporary_table, temporary_noted):
        write_metrics(rows, temporary_table)
        temporary_noted.write_text(json_text(facts), encoding="utf-8")
    return table


def evaluate_mirrored(
    table: Path, segmenter: Segmenter, source: Path, *, replace: bool = False
) -> Path:
    """Evaluate a model again with mirrored views, and return the new table.

    ``table`` is the one that `save_run` returned, ``source`` the data folder. Raises a `FlomoError`
    if the segmenter has other weights, or the data cannot be used.
    """
    noted = table.with_suffix(".json")
    facts = read_object(noted, "add the run first")
    _check_facts(facts, noted)
    if facts.get("sha256") != segmenter.card.sha256:
        raise FlomoError(f"{noted} describes other weights than those of {segmenter.card.name}.")
    rows, _summary = evaluate_folder(
        source, facts["fold"], facts["split"], segmenter, WorstCases(), mirrored=True
    )
    name = table.stem.rpartition("-fold")[0] + MIRRORED
    return _save(rows, facts | {"views": "mirrored"}, table.parent, name, replace=replace)


def read_results(folder: Path) -> list[ModelResults]:
    """Read all results of a folder, sorted by data set, baselines last, name and fold.

    Raises a `FlomoError` if a file is damaged, facts are missing, or a patient is in two folds of
    one model.
    """
    found: dict[tuple[str, str], list[FoldResult]] = {}
    for table in sorted(folder.glob("*.csv")):
        match = _NAME.fullmatch(table.stem)
        if match is None:
            continue
        noted = table.with_suffix(".json")
        facts = read_object(noted, "add the run again")
        _check_facts(facts, noted)
        if int(match["fold"]) != facts["fold"]:
            raise FlomoError(f"{noted} describes fold {facts['fold']}, unlike its name.")
        result = FoldResult(match["name"], read_metrics(table), facts)
        found.setdefault((str(facts["data"]), result.name), []).append(result)
    series = [
        ModelResults(name, sorted(results, key=lambda result: result.fold))
        for (_, name), results in sorted(found.items())
    ]

    series.sort(key=lambda one: (one.facts["data"], one.is_baseline, one.name))
    for one in series:
        patients = [
            patient for result in one.results for patient in {row.patient for row in result.rows}
        ]
        if len(patients) != len(set(patients)):
            raise FlomoError(f"A patient is in two folds of {one.name}, which is a leak.")
    return series


def compare_with_baselines(series: Iterable[ModelResults]) -> list[Difference]:
    """Compare every model with every baseline that was evaluated on the same patients.

    Metrics that are missing for one of the two are left out.
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
    """Compare mirrored and plain views of every model."""
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
    """Return the folds with the same cases and structures in both results."""
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
        raise FlomoError(f"{path} lacks {missing[0]!r}; add it.")
