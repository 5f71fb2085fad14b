"""Write ``docs/benchmarks/speed.md`` from a `speed_report.Report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from page_writer import document, table, table_of
from speed_report import (
    PLAIN,
    AutoEngine,
    ConvolutionRate,
    EngineTiming,
    ProcessTiming,
    ProgressOverhead,
    Report,
    StageTiming,
)

BASELINES = ("unet", "dynunet")
STAGES = ("read", "preprocess", "network", "restore", "postprocess", "write", "all")


def page(report: Report) -> str:
    """Return the page in Markdown; parts that were not measured are left out."""
    rows = report.rows
    help_times = report.help_ms and (
        f"## Help\n\n`flomo --help` takes {median(report.help_ms):.0f} ms, including the start of "
        f"Python (median of {len(report.help_ms)})."
    )
    return document(
        _introduction(report),
        rows and _networks(rows),
        *map(_auto_engine, report.choice),
        _upper_bound(rows, report.paces),
        rows and _labels(rows),
        report.stages and _stages(report.stages),
        report.processes and _processes(report.processes),
        report.feedback and _progress(report.feedback),
        help_times,
        f"Made by `{report.command}`.",
    )


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return float(np.percentile(values, 95))


def _introduction(report: Report) -> str:
    machine = dict(report.machine)
    hardware = (
        f"{machine.pop('processor')} ({machine.pop('flags')}), {machine.pop('cores')} cores, "
        f"**{machine.pop('threads')} threads**"
    )
    if "gpu" in machine:
        hardware += f"; {machine.pop('gpu')}"
    versions = ", ".join(f"{name} {version}" for name, version in machine.items())
    return (
        f"# Speed\n\nImage: {report.image}. {hardware}; {versions}.\n\n"
        "Everything in one table is measured in turns, round by round, so the ratios hold even "
        "when the machine is busy and the absolute times do not. Networks without trained weights "
        "have random ones: this hardly affects time and memory, but their labels mean nothing."
    )


def _networks(rows: Sequence[EngineTiming]) -> str:
    with_plain = any(row.network == PLAIN for row in rows)
    baselines = [name for name in BASELINES if any(row.network == name for row in rows)]
    columns: Mapping[str, Any] = (
        {
            "network": "{0.title}",
            "engine": "{0.engine}",
            "device": "{0.device}",
            "parameters": "{0.parameters:,}",
            "G multiply-adds": lambda row: f"{row.multiply_adds / 1e9:.2f}",
            "slice, ms": lambda row: f"{median(row.slice_ms):.0f}",
            "slice p95": lambda row: f"{p95(row.slice_ms):.0f}",
            "volume, ms": lambda row: f"{median(row.volume_ms):.0f}",
            "volume p95": lambda row: f"{p95(row.volume_ms):.0f}",
            "slices per s": lambda row: f"{1000 * row.slices / median(row.volume_ms):.1f}",
            "network only, ms per slice": lambda row: f"{median(row.network_ms):.1f}",
            "speedup over eager": lambda row: _ratio(
                _find(rows, row.network, "eager", row.device), row
            ),
        }
        | ({"speedup over plain": lambda row: _over_plain(rows, row)} if with_plain else {})
        | {
            f"time / {name}": lambda row, name=name: _ratio(
                row, _find(rows, name, row.engine, row.device)
            )
            for name in baselines
        }
    )
    shown = table_of([row for row in rows if not row.reason], columns)
    notes = (
        "From the array to labels, probabilities and entropy on the grid of the image; medians and "
        f"95th percentiles of {len(rows[0].slice_ms)} single slices and {len(rows[0].volume_ms)} "
        "volumes. Multiply-adds are those of the network definition for one slice in the model's "
        "field of view, before any optimisation by an engine. Speedup over eager: of the network "
        "alone, compared with eager PyTorch (channels last, float32). The last columns divide by "
        "the time of the baseline networks on the same engine. -: not measured."
    )
    if with_plain:
        notes += (
            " Speedup over plain: of a whole volume, compared with a network in which every "
            "convolution is PyTorch's own; eager already has the convolutions that were rewritten "
            "for training."
        )
    left_out = [
        f"{row.title} on {row.engine} ({row.device}) is not shown: {row.reason}."
        for row in rows
        if row.reason
    ]
    return "\n\n".join(["## Networks and engines", shown, notes, *left_out])


def _auto_engine(choice: AutoEngine) -> str:
    return (
        f"With the engine `auto`, B0 runs on the CPU of this machine with **{choice.engine}** "
        f"({choice.reason}). Choosing it took {choice.seconds:.0f} s, once per computer."
    )


def _upper_bound(rows: Sequence[EngineTiming], rates: Sequence[ConvolutionRate]) -> str:
    eager = _find(rows, "flomo-b0", "eager", "cpu")
    lines = []
    for rate in rates:
        row = _find(rows, "flomo-b0", rate.engine, "cpu")
        if row is None or eager is None or row.reason or eager.reason:
            continue
        fastest = 1000 * row.multiply_adds / median(rate.per_second)
        measured = median(row.network_ms)
        lines.append(
            [
                rate.engine,
                f"{median(rate.per_second) / 1e9:.0f}",
                f"{fastest:.1f}",
                f"{measured:.1f}",
                f"{100 * fastest / measured:.0f} %",
                f"{median(eager.network_ms) / fastest:.1f}",
            ]
        )
    if not lines:
        return ""
    head = ["engine", "G multiply-adds/s", "B0 at that rate, ms per slice",
            "B0 measured, ms per slice", "fraction of the rate", "largest speedup"]  # fmt: skip
    return (
        "### Upper bound of this processor\n\nThe rate of 3x3 convolutions between many channels "
        "of 96 x 96 pixels, for which libraries are optimised best. The third column is the time "
        "of B0's multiply-adds at that rate if normalisation, gates, depthwise convolutions and "
        "memory access cost nothing. An engine that computes all of these multiply-adds cannot "
        "exceed the speedup in the last column.\n\n" + table(head, lines)
    )


def _find(
    rows: Sequence[EngineTiming], network: str, engine: str, device: str
) -> EngineTiming | None:
    wanted = (network, engine, device)
    return next((r for r in rows if (r.network, r.engine, r.device) == wanted), None)


def _over_plain(rows: Sequence[EngineTiming], row: EngineTiming) -> str:
    is_b0 = PLAIN.startswith(row.network)
    plain = _find(rows, PLAIN, "eager", row.device) if is_b0 else None
    return _ratio(plain, row, "volume_ms")


def _ratio(
    numerator: EngineTiming | None, denominator: EngineTiming | None, times: str = "network_ms"
) -> str:
    """Return the median ratio of two times, taken round by round."""
    if numerator is None or denominator is None or numerator.reason or denominator.reason:
        return "-"
    pairs = zip(getattr(numerator, times), getattr(denominator, times), strict=True)
    return f"{median(a / b for a, b in pairs):.2f}"


def _labels(rows: Sequence[EngineTiming]) -> str:
    compared = [row for row in rows if row.same is not None and row.dice is not None]
    compared = [row for row in compared if not row.reason]
    if not compared:
        return "Labels were not compared because the eager engine was not measured."
    shown = table_of(
        compared,
        {
            "network": "{0.title}",
            "engine": "{0.engine}",
            "device": "{0.device}",
            "precision": "{0.precision}",
            "same label": lambda row: f"{row.same:.4%}".replace("%", " %"),
            "Dice": "{0.dice:.5f}",
            "first volume, s": "{0.prepare_s:.1f}",
        },
    )
    return (
        "## Agreement of the labels\n\nCompared with eager PyTorch on the CPU, for the whole "
        "volume after postprocessing. The first volume includes all one-time preparation, without "
        f"any cache of earlier runs.\n\n{shown}"
    )


def _stages(timings: Sequence[StageTiming]) -> str:
    lines = []
    for timing in timings:
        times = {name: median(values) for name, values in timing.stages.items()}
        rest = times["all"] - times["network"]
        lines.append(
            [timing.image, timing.engine]
            + [f"{times[name]:.0f}" if name in times else "-" for name in STAGES]
            + [f"{rest / timing.slices:.1f}", f"{rest / times['network']:.2f}"]
        )
    head = ["image", "engine", *STAGES, "outside the network, ms per slice", "outside / network"]
    runs = max(len(values) for timing in timings for values in timing.stages.values())
    return (
        "## Stages\n\nB0 from a compressed NIfTI file to a label file, in milliseconds; medians of "
        f"{runs} runs (one run on one engine for the cine). The larger images repeat the pixels of "
        "the first. *restore* maps labels, entropy and scores back to the grid of the image; "
        f"*write* ends when the file is safely on disk.\n\n{table(head, lines)}"
    )


def _processes(timings: Sequence[ProcessTiming]) -> str:
    shown = table_of(
        timings,
        {
            "network": "{0.title}",
            "engine": "{0.engine}",
            "first run, s": "{0.first_s:.2f}",
            "later runs, s": lambda timing: f"{median(timing.seconds):.2f}",
            "slowest": lambda timing: f"{max(timing.seconds):.2f}",
            "peak memory, MB": lambda timing: f"{max(timing.peak_mb):.0f}",
        },
    )
    return (
        "## From the start of a process to the written mask\n\n`flomo segment` on the volume, with "
        f"the files in the system's cache; median of {len(timings[0].seconds)} runs after a first "
        "one without any cache. *auto* is the default; the fastest engine was determined after its "
        "first run, as a viewer does when it is idle. The MONAI UNet runs the same way in a "
        f"separate script, which also imports MONAI.\n\n{shown}"
    )


def _progress(overheads: Sequence[ProgressOverhead]) -> str:
    lines = ["## Progress and cancel\n"]
    for one in overheads:
        text = (
            f"With the engine {one.engine}, a progress bar and a cancel check change the time of a "
            f"volume by {_change(one.silent_ms, one.told_ms)}"
        )
        if one.told_cpu_ms:
            text += f", its processor time by {_change(one.silent_cpu_ms, one.told_cpu_ms)}"
        text += f": medians of {len(one.told_ms)} alternating pairs."
        if one.inside_ms:
            inside, whole = median(one.inside_ms), median(one.told_ms)
            text += (
                f" The bar and the check themselves take {inside:.2f} ms per volume, "
                f"{100 * inside / whole:.2f} % of it."
            )
        lines.append(
            f"{text} Cancelling takes at most {max(one.cancel_ms):.0f} ms in "
            f"{len(one.cancel_ms)} trials at different moments."
        )
    return "\n".join(lines)


def _change(without: Sequence[float], with_progress: Sequence[float]) -> str:
    ratios = [b / a for a, b in zip(without, with_progress, strict=True)]
    error = 100 * 1.25 * float(np.std(ratios)) / len(ratios) ** 0.5
    return f"{100 * (median(ratios) - 1):+.1f} % (standard error {error:.1f} points)"
