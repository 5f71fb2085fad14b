"""Plots of reliability, error recall, and risk against coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flomo_training.drawing import hide_frame, save_figure
from flomo_training.uncertainty.error_recall import recall_in_volumes
from flomo_training.uncertainty.ranking import Ranking
from flomo_training.uncertainty.records import (
    SliceRecord,
    ranking_by_patient,
    reliability_by_patient,
)
from flomo_training.uncertainty.reliability import Reliability
from flomo_training.uncertainty.statistics import BAD_SLICE_DICE, ORACLE
from napari_flomo.segmentation import MAPS

GRID = np.linspace(0, 1, 41)
INK, PALE = "#333333", "#bbbbbb"
COLOURS = ("#3b82f6", "#ef4444", "#22c55e", "#a855f7", "#f59e0b", "#0ea5e9", "#84cc16", "#ec4899")


def draw_reliability(
    before: Sequence[SliceRecord], after: Sequence[SliceRecord], path: Path
) -> None:
    """Draw reliability diagrams for the pixels of the band."""
    figure, axes = _sheet(2)
    for panel, (title, records) in zip(axes, (("before", before), ("after", after)), strict=True):
        found = reliability_by_patient(records, "near")
        total = Reliability(found.counts.sum(0), found.brier.sum(0))
        confidence, right, pixels = total.curve()
        panel.plot([0, 1], [0, 1], color=PALE, linewidth=1)
        share = pixels / pixels.sum()
        panel.bar((np.arange(len(share)) + 0.5) / len(share), share, 0.9 / len(share), color=PALE)
        panel.plot(confidence, right, "o-", color=COLOURS[0], markersize=4)
        panel.set_title(f"{title}: ECE {float(total.ece()):.3f}", color=INK, fontsize=10)
        panel.set_xlabel("confidence (bars: fraction of pixels)")
        panel.set_ylabel("accuracy")
        panel.set(xlim=(0, 1), ylim=(0, 1))
    save_figure(figure, path)


def draw_error_recall(records: Sequence[SliceRecord], names: Mapping[str, str], path: Path) -> None:
    """Draw the recall of errors against the fraction of reviewed slices of every volume.

    ``names`` are the orders to draw and their names in the legend.
    """
    figure, axes = _sheet(2)
    volume = np.unique([one.case for one in records], return_inverse=True)[1]
    everyone = np.ones((1, len(records)))
    wrong = np.array([one.wrong for one in records], float)
    bad = np.array([float(one.dice < BAD_SLICE_DICE) for one in records])
    for panel, title, target in (
        (axes[0], "wrong voxels", wrong),
        (axes[1], f"slices with Dice < {BAD_SLICE_DICE}", bad),
    ):
        panel.plot([0, 1], [0, 1], "--", color=PALE, label="random")
        for colour, (name, called) in zip(COLOURS, names.items(), strict=False):
            score = np.array([one.scores[name] for one in records])
            found = recall_in_volumes(score, target, volume, everyone, GRID.tolist())[0]
            panel.plot(GRID, found, color=colour, label=called, linewidth=1.5)
        best = recall_in_volumes(target, target, volume, everyone, GRID.tolist())[0]
        panel.plot(GRID, best, ":", color=INK, label=ORACLE)
        panel.set_title(f"{title} found", color=INK, fontsize=10)
        panel.set_xlabel("fraction of the slices of every volume that was reviewed")
        panel.set(xlim=(0, 1), ylim=(0, 1))
    axes[0].legend(fontsize=8, frameon=False)
    save_figure(figure, path)


def draw_risk_coverage(records: Sequence[SliceRecord], path: Path) -> None:
    """Draw risk against coverage for the maps of the whole network."""
    figure, (panel,) = _sheet(1)
    names = [name for name in records[0].maps if MAPS[name].stage is None]
    for colour, name in zip(COLOURS, names, strict=False):
        total = Ranking(ranking_by_patient(records, name).counts.sum(0))
        coverage, risk = total.risk_coverage()
        panel.plot(coverage, risk, color=colour, linewidth=1.5, label=MAPS[name].title)
    right, wrong = total.counts.sum(-1)
    share = wrong / (right + wrong)
    panel.plot([0, 1 - share], [0, 0], ":", color=INK, label=ORACLE)
    panel.plot(GRID, np.clip((GRID - 1 + share) / np.maximum(GRID, 1e-9), 0, 1), ":", color=INK)
    panel.axhline(share, color=PALE, linestyle="--", linewidth=1, label="uninformative")
    panel.set_xlabel("coverage: fraction of the band's pixels, most certain first")
    panel.set_ylabel("risk: fraction of them that is wrong")
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 2 * share)
    panel.legend(fontsize=7, frameon=False)
    save_figure(figure, path)


def _sheet(panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.6 * panels, 4.2), layout="constrained")
    axes: list[Axes] = figure.subplots(1, panels, squeeze=False)[0].tolist()
    for one in axes:
        hide_frame(one)
        one.tick_params(labelsize=8)
    return figure, axes
