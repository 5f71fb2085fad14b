"""Write ``docs/benchmarks/speed.md`` from the measurements of `speed.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from page_writer import MISSING, Columns, document, number, table_of

STRUCTURES = ("RV", "myocardium", "LV")


def page(report: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    machine = dict(report["machine"])
    hardware = f"{machine.pop('processor')}, {machine.pop('cores')} cores"
    load = machine.pop("load")
    versions = ", ".join(f"{name} {version}" for name, version in machine.items())
    shape = " x ".join(map(str, report["image"]))
    return document(
        "# Speed",
        "Written by `training/benchmarks/speed.py`; do not edit by hand.",
        f"Image: the sample, {shape} voxels. {hardware}, load average {load} at the start of the "
        f"run; {versions}.",
        "All rows of a table take turns, round by round, and ratios are medians over the rounds, "
        "so the ratios hold on a busy machine; the times are those of this machine and its load.",
        _slices(report),
        _agreement(report),
        _volumes(report),
    )


def _slices(report: Mapping[str, Any]) -> str:
    rows: Sequence[Mapping[str, Any]] = report["slices"]

    def find(network: str, engine: str) -> Mapping[str, Any] | None:
        same = (row for row in rows if (row["network"], row["engine"]) == (network, engine))
        return next(same, None)

    def ratio(row: Mapping[str, Any], other: Mapping[str, Any] | None) -> str:
        return MISSING if other is None else number(_ratio(row["slice_ms"], other["slice_ms"]), 2)

    columns: Columns = {
        "network": "{0[network]}",
        "engine": "{0[engine]}",
        "pixels": "{0[side]} x {0[side]}",
        "parameters": lambda row: _count(row["parameters"], 1e6, "M"),
        "multiply-adds": lambda row: _count(row["multiply_adds"], 1e9, "G"),
        "ms per slice": lambda row: number(median(row["slice_ms"]), 1),
        "time / eager": lambda row: ratio(row, find(row["network"], "eager")),
        "time / FLoMo-Net, same engine": lambda row: ratio(
            row, find(rows[0]["network"], row["engine"])
        ),
    }
    calibrated = f"{report['calibration_slices']} slices"
    return "\n\n".join(
        [
            "## The networks",
            "One slice through the network, without the steps before and after it: processor time "
            f"on one thread, medians of {report['rounds']} rounds. Random weights hardly affect "
            "the time. `openvino-int8` is not an engine of the package: the convolutions of the "
            f"graph were quantised with NNCF, calibrated on {calibrated} (see "
            "[engines](../engines.md)).",
            table_of(rows, columns),
        ]
    )


def _agreement(report: Mapping[str, Any]) -> str:
    found: Mapping[str, Sequence[float]] = report["agreement"]
    columns = {"engine": "{0[0]}"} | {
        f"Dice, {name}": f"{{0[1][{k}]:.4f}}" for k, name in enumerate(STRUCTURES)
    }
    return "\n\n".join(
        [
            "## Agreement of the labels",
            f"Labels of the trained network on {report['agreement_slices']} slices, compared with "
            "those of `eager`, before postprocessing.",
            table_of(found.items(), columns),
        ]
    )


def _volumes(report: Mapping[str, Any]) -> str:
    volumes = report["volumes"]
    columns: Columns = {
        "engine": "{0}",
        "volume, ms": lambda name: number(median(volumes[name]), 0),
        "time / eager": lambda name: number(_ratio(volumes[name], volumes["eager"]), 2),
    }
    return "\n\n".join(
        [
            "## Volumes",
            f"The trained network on {report['threads']} threads, from the array to labels, "
            "probabilities and entropy on the grid of the image, in a process that has segmented "
            "before. Whole processes and their peak memory are in [startup](startup.md). On a busy "
            "computer two threads that share a slice, as in PyTorch and ONNX Runtime, wait for "
            "each other: here the ratios are far smaller than on a quiet one, for which the table "
            "of the networks is the better guide.",
            table_of(volumes, columns),
        ]
    )


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median ratio of two times, taken round by round."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _count(value: int | None, unit: float, letter: str) -> str:
    return MISSING if value is None else f"{value / unit:.2f} {letter}"
