"""What `speed.py` measures, in plain types that go into a JSON file as they are."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import torch

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "openvino", "onnxruntime", "monai", "numpy", "scipy", "napari-flomo")


PLAIN = "flomo-b0-plain"
"""Name of FLoMo-Net B0 as plain PyTorch computes it."""


@dataclass
class Row:
    """A network on an engine.

    Attributes
    ----------
    network, title, engine, precision, device
        What ran, how and where.
    parameters, multiply_adds
        Of the network; multiply-adds of one slice on the network's grid.
    slices
        Of the volume.
    slice_ms, volume_ms
        Each run through `Segmenter.segment`, of a single slice and of the whole volume.
    network_ms
        The network's own share of each volume, by slice.
    prepare_s
        Seconds of the first volume, with all that is set up once.
    same, dice
        Share of the voxels with the label that the eager engine gave, and Dice of the structures'
        voxels; None for the eager engine itself.
    reason
        Why another engine ran than the one that was asked for; empty when the right one did.
    """

    network: str
    title: str
    engine: str
    precision: str
    device: str
    parameters: int
    multiply_adds: int
    slices: int
    slice_ms: list[float] = field(default_factory=list)
    volume_ms: list[float] = field(default_factory=list)
    network_ms: list[float] = field(default_factory=list)
    prepare_s: float = 0.0
    same: float | None = None
    dice: float | None = None
    reason: str = ""


@dataclass
class Stages:
    """Milliseconds of each stage between a file and its mask, run by run."""

    image: str
    engine: str
    slices: int
    stages: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Process:
    """A process of its own, from its start to the written mask.

    Attributes
    ----------
    title, engine
        What ran.
    first_s
        The first time, when nothing is kept of earlier runs.
    seconds, peak_mb
        Of the later ones.
    """

    title: str
    engine: str
    first_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


@dataclass
class Choice:
    """The engine that ``"auto"`` takes here for B0, why, and how long it took to find."""

    engine: str
    reason: str
    seconds: float


@dataclass
class Feedback:
    """What progress and cancel cost: milliseconds of a volume without and with, in turns.

    Attributes
    ----------
    engine
        What ran the network.
    silent_ms, told_ms
        The same volume without and with both, in pairs.
    cancel_ms
        From the wish to the end.
    inside_ms
        Time within the bar and within the question whether to cancel, of each volume with both.
    silent_cpu_ms, told_cpu_ms
        The same pairs in processor time, which waits for nobody.
    """

    engine: str
    silent_ms: list[float] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)
    cancel_ms: list[float] = field(default_factory=list)
    inside_ms: list[float] = field(default_factory=list)
    silent_cpu_ms: list[float] = field(default_factory=list)
    told_cpu_ms: list[float] = field(default_factory=list)


@dataclass
class Pace:
    """Multiply-adds a second of plain 3x3 convolutions on an engine, run by run."""

    engine: str
    precision: str
    per_second: list[float] = field(default_factory=list)


@dataclass
class Report:
    """All of it; parts that were not asked for are empty.

    Attributes
    ----------
    command
        That made it, without folders.
    machine
        Processor, flags, threads, versions; nothing that names a computer.
    image
        What was segmented.
    """

    command: str
    machine: Mapping[str, str]
    image: str
    rows: list[Row] = field(default_factory=list)
    choice: list[Choice] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    stages: list[Stages] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    help_ms: list[float] = field(default_factory=list)


def machine() -> dict[str, str]:
    """Describe the hardware and the versions, without a name of a computer or a folder."""
    name, flags = _processor()
    found = {
        "processor": name,
        "flags": " ".join(flag for flag in FLAGS if flag in flags) or "unknown",
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "system": platform.system(),
    }
    if torch.cuda.is_available():
        found["gpu"] = f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> tuple[str, set[str]]:
    """Return the processor's name and flags, where Linux tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    return fields.get("model name", platform.machine()), set(fields.get("flags", "").split())
