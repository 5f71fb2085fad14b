"""Costs of a network: parameters, multiply-adds, time and memory for one image.

    python training/benchmarks/network_costs.py --size 224 --runs 9

Networks are timed in turns, so the ratios of times hold even on a busy machine. Memory is the peak
of a fresh process during a forward pass, minus the memory it used before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from page_writer import parser_of
from timing import time_in_turns
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from napari_flomo.networks import build

PROCESS = Path("/proc/self")
"""Memory statistics of this process on Linux; not measured on other systems."""


@dataclass(frozen=True)
class Costs:
    """Costs for one image, without heads that are used in training only.

    Multiply-adds are those of convolutions, matrix products and attention. The time is the median
    of a pass, the memory the peak beyond the weights.
    """

    parameters: int
    multiply_adds: int
    milliseconds: float
    megabytes: float


@dataclass(frozen=True)
class Subject:
    """A network to measure."""

    network: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    in_channels: int = 1
    num_classes: int = 4

    def build(self) -> nn.Module:
        """Return the network in inference mode with random weights."""
        arguments = {k: v for k, v in self.arguments.items() if k != "deep_supervision"}
        torch.manual_seed(0)
        return build(
            self.network,
            in_channels=self.in_channels,
            num_classes=self.num_classes,
            **arguments,
        ).eval()

    def image(self, size: int) -> torch.Tensor:
        """Return a random image."""
        image = torch.rand(1, self.in_channels, size, size)
        return image.contiguous(memory_format=torch.channels_last)


def multiply_adds_of(network: nn.Module, image: torch.Tensor) -> int:
    """Count the multiply-adds for an image; attention runs in the form that the counter knows."""
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        network(image)
    return int(counter.get_total_flops()) // 2


def milliseconds(subjects: Sequence[Subject], size: int, runs: int) -> list[float]:
    """Return the median time of each network, measured in turns."""
    layout = torch.channels_last
    networks = [s.build().to(memory_format=layout) for s in subjects]  # type: ignore[call-overload]
    images = [subject.image(size) for subject in subjects]
    tasks = dict(enumerate(map(partial, networks, images)))
    with torch.inference_mode():
        times = time_in_turns(tasks, runs)
    return [1000 * statistics.median(seconds) for seconds in times.values()]


def megabytes(subject: Subject, size: int) -> float:
    """Return the peak memory of a forward pass, measured in a fresh process."""
    request = json.dumps([subject.network, dict(subject.arguments), subject.in_channels,
                           subject.num_classes, size, torch.get_num_threads()])  # fmt: skip
    done = subprocess.run(
        [sys.executable, __file__, "--probe", request], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def probe(request: str) -> float:
    """Measure the memory for `megabytes` in the fresh process."""
    network, arguments, in_channels, num_classes, size, threads = json.loads(request)
    torch.set_num_threads(threads)
    subject = Subject(network, arguments, in_channels, num_classes)
    model = subject.build()
    with torch.inference_mode():
        model(subject.image(32))  # loads all libraries
        if not PROCESS.is_dir():
            return float("nan")
        (PROCESS / "clear_refs").write_text("5")  # resets the peak
        before = _peak()
        model(subject.image(size))
    return (_peak() - before) / 1e6


def _peak() -> int:
    """Return the peak memory of this process in bytes."""
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measure(subjects: Sequence[Subject], size: int, runs: int) -> list[Costs]:
    """Measure networks without the heads that are used in training only."""
    times = milliseconds(subjects, size, runs)
    return [
        Costs(
            sum(p.numel() for p in subject.build().parameters()),
            multiply_adds_of(subject.build(), subject.image(size)),
            round(taken, 1),
            round(megabytes(subject, size), 1),
        )
        for subject, taken in zip(subjects, times, strict=True)
    ]


def main() -> None:
    """Measure the networks of the project and print a table."""
    parser = parser_of(__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        print(probe(options.probe))
        return
    torch.set_num_threads(options.threads)
    names = ("flomo-b0", "flomo-b2", "madgnet", "madgnet-resnet50", "fm-bff-net", "fias", "dynunet")
    found = measure(list(map(Subject, names)), options.size, options.runs)
    for name, costs in zip(names, found, strict=True):
        print(
            f"{name:18s} {costs.parameters:>12,d} {costs.multiply_adds / 1e9:8.2f} G "
            f"{costs.milliseconds:9.1f} ms {costs.megabytes:8.1f} MB"
        )


if __name__ == "__main__":
    main()
