"""Measure the speed from an image file to its labels: networks, engines, stages, processes.

    python training/benchmarks/speed.py --threads 2 --runs 7
    python training/benchmarks/speed.py --only networks --networks flomo-b0,unet --engines eager

All networks and engines run alternately in every round and through the same `Segmenter`, so the
ratios hold even on a busy machine. Writes a page, and the single measurements beside it as JSON.
Takes about eight minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import speed_processes
import torch
from numpy.typing import NDArray
from page_writer import SAMPLE, parser_of, write_page
from speed_ceiling import measure_convolution_rates
from speed_page import page
from speed_paths import measure_auto_engine, measure_processes, measure_progress, measure_stages
from speed_report import EngineTiming, Report, machine
from speed_subjects import SUBJECTS, Subject, costs, make
from timing import timed

from flomo_training.json_files import write_json
from napari_flomo import DEFAULT_MODEL
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import ENGINES, unavailable_reason
from napari_flomo.volumes import Volume, read

SLICES = 10
SINGLE = 3  # single slices timed in each round
PARTS = ("networks", "stages", "processes", "feedback", "help")
SLOW_TO_MAKE = "compile"  # takes more than a minute, so it must be requested by name
BEST = ("eager", "onnxruntime", "openvino")
"""Default engines of the other networks."""
FASTEST = ("openvino", "openvino-bf16")
"""Fastest engine of each precision; their rate is taken as the limit of the processor."""


@dataclass
class Contender:
    """A row of the table and the segmenter that it is measured with."""

    row: EngineTiming
    segmenter: Segmenter
    labels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))


def read_volume(path: Path) -> Volume:
    """Return the first ten slices of the first frame of an image."""
    volume = read(path).frame(0)
    return Volume(volume.data[:SLICES], volume.geometry, volume.axes, volume.modality)


def single_slice(volume: Volume, index: int) -> Volume:
    """Return one slice as a volume."""
    return Volume(volume.data[index : index + 1], volume.geometry)


def available(names: Sequence[str], device: str) -> list[str]:
    """Return the engines that are available here, in their usual order."""
    there = [name for name in names if unavailable_reason(ENGINES[name], device) is None]
    return sorted(there, key=list(ENGINES).index)


def contenders(
    subjects: Sequence[Subject], model: str, engines: Sequence[str] | None, slices: int
) -> list[Contender]:
    """Return all combinations of network, engine and device that are requested and available."""
    found = []
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for subject in subjects:
        parameters, multiply_adds = costs(*make(subject, model))
        wanted = engines
        if wanted is None:
            all_ = [name for name in ENGINES if name != SLOW_TO_MAKE]
            wanted = all_ if subject.trained else BEST
        if subject.plain:
            wanted = ["eager"]
        for device in devices:
            for name in available(wanted, device):
                network, card = make(subject, model)
                row = EngineTiming(
                    subject.name,
                    subject.title + ("" if subject.trained else " (random weights)"),
                    name,
                    ENGINES[name].precision,
                    device,
                    parameters,
                    multiply_adds,
                    slices,
                )
                found.append(Contender(row, Segmenter(network, card, device, name)))
    return found


def warm_up(contender: Contender, volume: Volume) -> None:
    """Do the one-time preparation, and check that the requested engine runs."""
    row = contender.row
    row.prepare_s, result = timed(lambda: contender.segmenter.segment(volume))
    contender.segmenter.segment(single_slice(volume, 0))
    contender.labels = result.labels.data
    ran = result.manifest["engine"]
    if ran["name"] != row.engine:
        row.reason = f"{ran['name']} ran instead: {ran['reason']}"


def label_agreement(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the fraction of voxels with the same label, and the Dice of all structures."""
    both = ((ours == theirs) & (ours > 0)).sum()
    marked = (ours > 0).sum() + (theirs > 0).sum()
    return float((ours == theirs).mean()), float(2 * both / marked) if marked else 1.0


def measure_networks(found: Sequence[Contender], volume: Volume, runs: int) -> list[EngineTiming]:
    """Time single slices and whole volumes, alternately for all contenders."""
    for contender in found:
        warm_up(contender, volume)
        first = next(c for c in found if c.row.network == contender.row.network)
        if contender is not first and first.row.engine == "eager":
            row = contender.row
            row.same, row.dice = label_agreement(contender.labels, first.labels)
    for turn in range(runs):
        for contender in found:
            row, segmenter = contender.row, contender.segmenter
            for k in range(SINGLE):
                one = single_slice(volume, (turn * SINGLE + k) % volume.n_slices)
                row.slice_ms.append(1000 * timed(partial(segmenter.segment, one))[0])
            seconds, result = timed(partial(segmenter.segment, volume))
            row.volume_ms.append(1000 * seconds)
            row.network_ms.append(1000 * result.manifest["seconds"]["network"] / volume.n_slices)
    return [contender.row for contender in found]


def measure(args: argparse.Namespace) -> Report:
    """Measure the requested parts."""
    torch.set_num_threads(args.threads)
    volume = read_volume(args.volume)
    shape = " x ".join(str(n) for n in volume.spatial_shape)
    step = volume.in_plane_spacing[0]
    runs: int = args.runs
    command = " ".join(["python training/benchmarks/speed.py", *command_options(args)])
    report = Report(command, machine(), f"{shape} voxels, pixels of {step:.2f} mm")
    subjects = [subject for subject in SUBJECTS if subject.name in args.networks]
    exact = [n for n in ENGINES if ENGINES[n].precision == "float32" and n != SLOW_TO_MAKE]
    engines = available(args.engines or exact, "cpu")
    if "networks" in args.only:
        found = contenders(subjects, args.model, args.engines, volume.n_slices)
        report.rows = measure_networks(found, volume, runs)
        del found
        if not args.engines:
            report.choice = [measure_auto_engine(args.model, volume)]
        dense = available(FASTEST, "cpu")
        report.paces = measure_convolution_rates(dense, 3 * runs)
    if "stages" in args.only:
        some = [name for name in engines if name in BEST] or engines
        report.stages = measure_stages(args.model, some, volume, runs, cine=not args.no_cine)
    if "feedback" in args.only:
        report.feedback = [measure_progress(args.model, engines[-1], volume, runs)]
    few = max(1, runs // 3)
    if "processes" in args.only:
        stored = [subject for subject in subjects if not subject.plain]
        report.processes = measure_processes(stored, args.model, engines, volume, few)
    if "help" in args.only:
        ask = ["-m", "napari_flomo", "--help"]
        report.help_ms = [1000 * speed_processes.run(ask, args.threads)[0] for _ in range(runs)]
    return report


def command_options(args: argparse.Namespace) -> list[str]:
    """Return the options that influence the figures, without folders."""
    options = ["--threads", str(args.threads), "--runs", str(args.runs)]
    if tuple(args.only) != PARTS:
        options += ["--only", ",".join(args.only)]
    if len(args.networks) < len(SUBJECTS):
        options += ["--networks", ",".join(args.networks)]
    if args.engines:
        options += ["--engines", ",".join(args.engines)]
    return options + (["--no-cine"] if args.no_cine else [])


def names_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names."""

    def take(text: str) -> list[str]:
        wanted = text.split(",")
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return [name for name in known if name in wanted]

    return take


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "speed.md")
    every = [subject.name for subject in SUBJECTS]
    parser.add_argument("volume", nargs="?", type=Path, default=SAMPLE, help="image to segment")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of a trained B0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7, help="rounds")
    parser.add_argument("--only", type=names_of(PARTS), default=PARTS, metavar=",".join(PARTS))
    parser.add_argument("--networks", type=names_of(every), default=every, metavar=",".join(every))
    parser.add_argument("--engines", type=names_of(list(ENGINES)), metavar=",".join(ENGINES))
    parser.add_argument("--no-cine", action="store_true", help="skip the cine")
    parser.add_argument("--json", type=Path, help="JSON file to write (default: beside the page)")
    args = parser.parse_args()
    report = measure(args)
    write_page(args.out, page(report))
    write_json(asdict(report), args.json or args.out.with_suffix(".json"))


if __name__ == "__main__":
    main()
