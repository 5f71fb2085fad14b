"""The page that shows what `speed.py` measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from speed_report import PLAIN, Choice, Feedback, Pace, Process, Report, Row, Stages

YARDSTICKS = ("unet", "dynunet")
STAGES = ("read", "preprocess", "network", "restore", "postprocess", "write", "all")


def page(report: Report) -> str:
    """Return the page in Markdown; parts that were not measured are left out."""
    parts = [_opening(report)]
    if report.rows:
        parts += [_networks(report.rows), *map(_choice, report.choice)]
        parts += [_ceiling(report.rows, report.paces), _labels(report.rows)]
    if report.stages:
        parts.append(_stages(report.stages))
    if report.processes:
        parts.append(_processes(report.processes))
    if report.feedback:
        parts.append(_feedback(report.feedback))
    if report.help_ms:
        parts.append(
            f"## Help\n\n`flomo --help` takes {median(report.help_ms):.0f} ms, Python's own start "
            f"included (median of {len(report.help_ms)})."
        )
    parts.append(f"Made by `{report.command}`.")
    return "\n\n".join(part for part in parts if part) + "\n"


def p95(values: Sequence[float]) -> float:
    """Return the time that 19 of 20 runs stay below."""
    return float(np.percentile(values, 95))


def _opening(report: Report) -> str:
    machine = dict(report.machine)
    hardware = (
        f"{machine.pop('processor')} ({machine.pop('flags')}), {machine.pop('cores')} cores, "
        f"**{machine.pop('threads')} threads**"
    )
    if "gpu" in machine:
        hardware += f"; {machine.pop('gpu')}"
    versions = ", ".join(f"{name} {version}" for name, version in machine.items())
    return (
        f"# Speed\n\nThe image: {report.image}. {hardware}; {versions}.\n\n"
        "Everything that one table compares took turns in every round, so its ratios hold where "
        "the seconds of a busy machine do not. Networks without weights of their own have random "
        "ones: time and memory hardly depend on them, but their labels mean nothing."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _networks(rows: Sequence[Row]) -> str:
    with_plain = any(row.network == PLAIN for row in rows)
    head = ["network", "engine", "device", "parameters", "G multiply-adds", "slice, ms", "p95",
            "volume, ms", "p95", "slices per s", "network alone, ms a slice", "times eager",
            *(["times plain"] if with_plain else []),
            *(f"time / {name}" for name in _yardsticks(rows))]  # fmt: skip
    body = [
        [
            row.title,
            row.engine,
            row.device,
            f"{row.parameters:,}",
            f"{row.multiply_adds / 1e9:.2f}",
            f"{median(row.slice_ms):.0f}",
            f"{p95(row.slice_ms):.0f}",
            f"{median(row.volume_ms):.0f}",
            f"{p95(row.volume_ms):.0f}",
            f"{1000 * row.slices / median(row.volume_ms):.1f}",
            f"{median(row.network_ms):.1f}",
            _ratio(_first(rows, row.network, "eager", row.device), row),
            *([_times_plain(rows, row)] if with_plain else []),
            *(
                _ratio(row, _first(rows, name, row.engine, row.device))
                for name in _yardsticks(rows)
            ),
        ]
        for row in rows
        if not row.reason
    ]
    counts = len(rows[0].slice_ms), len(rows[0].volume_ms)
    skipped = [
        f"{row.title} on {row.engine} ({row.device}) is not shown: {row.reason}."
        for row in rows
        if row.reason
    ]
    notes = (
        "All the way from the array to labels, probabilities and entropy on the image's own grid; "
        f"medians and 95th percentiles of {counts[0]} single slices and {counts[1]} volumes. "
        "Multiply-adds are those of the network as it is written, for one slice in the card's "
        "field of view, whatever an engine leaves out. Times eager: how many times faster the "
        "network alone is than on eager PyTorch (channels last, float32). The last columns divide "
        "by the time of the networks that stand beside it, on the same engine; -: not measured."
    )
    if with_plain:
        notes += (
            " Times plain: how many times faster a whole volume is than where each convolution is "
            "PyTorch's own as well; eager has what was rewritten for training already."
        )
    return "\n\n".join(["## Networks and engines", _table(head, body), notes, *skipped])


def _choice(one: Choice) -> str:
    return (
        f"Where nobody names an engine, B0 runs on the CPU here with **{one.engine}** once the "
        f"engines were measured ({one.reason}); that took {one.seconds:.0f} s, once on a computer."
    )


def _ceiling(rows: Sequence[Row], paces: Sequence[Pace]) -> str:
    eager = _first(rows, "flomo-b0", "eager", "cpu")
    body = []
    for pace in paces:
        row = _first(rows, "flomo-b0", pace.engine, "cpu")
        if row is None or eager is None or row.reason or eager.reason:
            continue
        least = 1000 * row.multiply_adds / median(pace.per_second)
        taken = median(row.network_ms)
        body.append(
            [
                pace.engine,
                f"{median(pace.per_second) / 1e9:.0f}",
                f"{least:.1f}",
                f"{taken:.1f}",
                f"{100 * least / taken:.0f} %",
                f"{median(eager.network_ms) / least:.1f}",
            ]
        )
    if not body:
        return ""
    head = ["engine", "G multiply-adds/s", "B0 at that pace, ms a slice", "B0, ms a slice",
            "share of the pace", "most times eager"]  # fmt: skip
    return (
        "### What the processor allows\n\nThe pace of what libraries are best at: 3x3 convolutions "
        "between 128 channels of 96 x 96 pixels, nothing else. At that pace B0's multiply-adds "
        "would take the time of the third column, if norms, gates, depthwise convolutions and "
        "memory cost nothing. So no engine that does these multiply-adds can be more times faster "
        "than eager PyTorch than the last column says.\n\n" + _table(head, body)
    )


def _yardsticks(rows: Sequence[Row]) -> list[str]:
    return [name for name in YARDSTICKS if any(row.network == name for row in rows)]


def _first(rows: Sequence[Row], network: str, engine: str, device: str) -> Row | None:
    wanted = (network, engine, device)
    return next((r for r in rows if (r.network, r.engine, r.device) == wanted), None)


def _times_plain(rows: Sequence[Row], row: Row) -> str:
    is_b0 = PLAIN.startswith(row.network)
    plain = _first(rows, PLAIN, "eager", row.device) if is_b0 else None
    return _ratio(plain, row, "volume_ms")


def _ratio(above: Row | None, below: Row | None, times: str = "network_ms") -> str:
    """Return how many times longer one takes than the other, round by round."""
    if above is None or below is None or above.reason or below.reason:
        return "-"
    pairs = zip(getattr(above, times), getattr(below, times), strict=True)
    return f"{median(a / b for a, b in pairs):.2f}"


def _labels(rows: Sequence[Row]) -> str:
    body = [
        [row.title, row.engine, row.device, row.precision, f"{100 * row.same:.4f} %",
         f"{row.dice:.5f}", f"{row.prepare_s:.1f}"]
        for row in rows
        if row.same is not None and row.dice is not None and not row.reason
    ]  # fmt: skip
    if not body:
        return "Labels were not compared: the eager engine was not among those measured."
    head = ["network", "engine", "device", "numbers", "same label", "Dice", "first volume, s"]
    return (
        "## The same labels\n\nAgainst eager PyTorch on the CPU, whole volume after "
        "postprocessing. The first volume includes all that is set up once, with nothing kept of "
        "earlier runs.\n\n" + _table(head, body)
    )


def _stages(found: Sequence[Stages]) -> str:
    body = []
    for one in found:
        middle = {name: median(values) for name, values in one.stages.items()}
        beside = middle["all"] - middle["network"]
        body.append(
            [one.image, one.engine]
            + [f"{middle[name]:.0f}" if name in middle else "-" for name in STAGES]
            + [f"{beside / one.slices:.1f}", f"{beside / middle['network']:.2f}"]
        )
    head = ["image", "engine", *STAGES, "beside the network, ms a slice", "beside / network"]
    return (
        "## Stages\n\nFrom a compressed NIfTI file to a mask in another, milliseconds of B0, "
        f"medians of {_runs(found)} runs (of a cine one, on one engine). The larger images repeat "
        "the pixels of the first. Restore is the way back to the image's own grid with labels, "
        "entropy and scores; write ends when the file is safe on the disk.\n\n" + _table(head, body)
    )


def _runs(found: Sequence[Stages]) -> int:
    return max(len(values) for one in found for values in one.stages.values())


def _processes(found: Sequence[Process]) -> str:
    body = [
        [one.title, one.engine, f"{one.first_s:.2f}", f"{median(one.seconds):.2f}",
         f"{max(one.seconds):.2f}", f"{max(one.peak_mb):.0f}"]
        for one in found
    ]  # fmt: skip
    head = ["network", "engine", "first time, s", "later, s", "slowest", "peak memory, MB"]
    return (
        "## From the start of a process to the written mask\n\n`flomo segment` on the volume, "
        f"files in the system's cache; median of {len(found[0].seconds)} after a first time with "
        "nothing kept of earlier runs. Auto is what happens where nobody names an engine; after "
        "its first time the fastest one was looked for, as a viewer does while nobody waits. The "
        "MONAI UNet goes the same way in a script of its own, which also imports MONAI.\n\n"
        + _table(head, body)
    )


def _feedback(found: Sequence[Feedback]) -> str:
    lines = ["## Progress and cancel\n"]
    for one in found:
        text = (
            f"On the engine {one.engine}, a progress bar and somebody who may cancel change the "
            f"time of a volume by {_change(one.silent_ms, one.told_ms)}"
        )
        if one.told_cpu_ms:
            text += f", its processor time by {_change(one.silent_cpu_ms, one.told_cpu_ms)}"
        text += f": medians of {len(one.told_ms)} pairs in turns."
        if one.inside_ms:
            inside, whole = median(one.inside_ms), median(one.told_ms)
            text += (
                f" Within the bar and the question whether to cancel pass {inside:.2f} ms a "
                f"volume, {100 * inside / whole:.2f} % of it."
            )
        lines.append(
            f"{text} From the wish to the end of the work: at most {max(one.cancel_ms):.0f} ms in "
            f"{len(one.cancel_ms)} trials at different moments."
        )
    return "\n".join(lines)


def _change(silent: Sequence[float], told: Sequence[float]) -> str:
    ratios = [there / without for without, there in zip(silent, told, strict=True)]
    error = 100 * 1.25 * float(np.std(ratios)) / len(ratios) ** 0.5
    return f"{100 * (median(ratios) - 1):+.1f} % (standard error {error:.1f} points)"
