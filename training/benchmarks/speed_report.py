"""Measurements of `speed.py`, in plain types that can be written as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import torch
from page_writer import processor

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "openvino", "onnxruntime", "monai", "numpy", "scipy", "napari-flomo")


PLAIN = "flomo-b0-plain"
"""Name of FLoMo-Net B0 with PyTorch's own convolutions."""


@dataclass
class EngineTiming:
    """Times of one network on one engine.

    Attributes
    ----------
    multiply_adds
        Of one slice on the network's grid.
    slice_ms, volume_ms
        Time of each `Segmenter.segment` call, for a single slice and for the whole volume.
    network_ms
        Time in the network for each volume, per slice.
    prepare_s
        Seconds of the first volume, including one-time preparation.
    same, dice
        Fraction of voxels with the same label as from the eager engine, and Dice of the voxels of
        all structures; None for the eager engine itself.
    reason
        Why another engine ran than the requested one; empty if the requested one ran.
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
class StageTiming:
    """Milliseconds of each stage from an image file to its label file, for each run."""

    image: str
    engine: str
    slices: int
    stages: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class ProcessTiming:
    """Times of a separate process, from its start to the written mask.

    ``first_s`` is that of the first run, without any cache.
    """

    title: str
    engine: str
    first_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


@dataclass
class AutoEngine:
    """The engine that ``"auto"`` selects for B0, the reason, and the time it took."""

    engine: str
    reason: str
    seconds: float


@dataclass
class ProgressOverhead:
    """Overhead of progress and cancel checks: milliseconds of alternating runs.

    Attributes
    ----------
    silent_ms, told_ms, silent_cpu_ms, told_cpu_ms
        The same volume without and with progress and cancel checks, in pairs.
    cancel_ms
        From the cancel request to the end.
    inside_ms
        Time spent in the progress bar and in the cancel check, for each volume.
    """

    engine: str
    silent_ms: list[float] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)
    cancel_ms: list[float] = field(default_factory=list)
    inside_ms: list[float] = field(default_factory=list)
    silent_cpu_ms: list[float] = field(default_factory=list)
    told_cpu_ms: list[float] = field(default_factory=list)


@dataclass
class ConvolutionRate:
    """Multiply-adds per second of 3x3 convolutions on an engine, for each run."""

    engine: str
    precision: str
    per_second: list[float] = field(default_factory=list)


@dataclass
class Report:
    """All measurements; parts that were not requested are empty.

    Nothing in it identifies a computer: the command has no folders, and the machine is described by
    its processor, threads and versions.
    """

    command: str
    machine: Mapping[str, str]
    image: str
    rows: list[EngineTiming] = field(default_factory=list)
    choice: list[AutoEngine] = field(default_factory=list)
    paces: list[ConvolutionRate] = field(default_factory=list)
    stages: list[StageTiming] = field(default_factory=list)
    processes: list[ProcessTiming] = field(default_factory=list)
    feedback: list[ProgressOverhead] = field(default_factory=list)
    help_ms: list[float] = field(default_factory=list)


PARTS = {
    "rows": EngineTiming,
    "choice": AutoEngine,
    "paces": ConvolutionRate,
    "stages": StageTiming,
    "processes": ProcessTiming,
    "feedback": ProgressOverhead,
}


def read_report(path: Path) -> Report:
    """Read a report that `speed.py` wrote as JSON."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, kind in PARTS.items():
        content[name] = [kind(**part) for part in content[name]]
    return Report(**content)


def machine() -> dict[str, str]:
    """Describe the hardware and the versions, without names of computers or folders."""
    name, flags = processor()
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
