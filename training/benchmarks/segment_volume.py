"""How long and how much memory a ten-slice volume takes, beside a U-Net of the same size.

    python training/benchmarks/segment_volume.py --threads 2 --runs 7

Both networks go through the very same `Segmenter`, with the same card and in turns, so that the
ratio holds even where the machine is busy and the seconds do not. The U-Net is MONAI's, with random
weights: time and memory do not depend on them. Prints a table and writes it as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.files import atomic_write
from napari_flomo.models import load_card
from napari_flomo.networks import Output
from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume, read, write

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "docs" / "samples" / "sunnybrook_ed.nii.gz"
TABLE = REPOSITORY / "docs" / "benchmarks" / "segment_volume.md"
SLICES = 10
UNET_CHANNELS = (18, 36, 72, 144, 288)  # 2.06 million parameters; FLoMo-Net B0 has 2.09


class UNet(nn.Module):
    """MONAI's residual 2-D U-Net behind the call that `Segmenter` makes.

    Parameters
    ----------
    in_channels, num_classes
        As of the network it stands beside.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        from monai.networks.nets import UNet as MonaiUNet

        super().__init__()
        self.inner = MonaiUNet(
            2, in_channels, num_classes, UNET_CHANNELS, strides=(2, 2, 2, 2), num_res_units=2
        )

    def forward(self, image: Tensor) -> Output:
        """Return logits of the size of ``image``, ``(N, C, H, W)``."""
        height, width = image.shape[-2:]
        return Output(self.inner(pad_to_multiple(image, 16))[..., :height, :width])


def make_segmenter(name: str, model: str) -> Segmenter:
    """Return the model as it is (``"flomo"``), or the U-Net behind the model's card."""
    if name == "flomo":
        return Segmenter.from_pretrained(model, device="cpu")
    card = load_card(model)
    return Segmenter(UNet(card.in_channels, card.num_classes), card, device="cpu")


@dataclass
class Figures:
    """What was measured of one network."""

    title: str
    parameters: int
    seconds: list[float] = field(default_factory=list)
    from_start: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def medians(self) -> tuple[float, float, float]:
        """Return seconds per volume, seconds from process start to file, and peak MB."""
        return (
            statistics.median(self.seconds),
            statistics.median(self.from_start),
            statistics.median(self.peak_mb),
        )


def time_volume(segmenter: Segmenter, volume: Volume) -> float:
    """Segment once; return the seconds, probabilities and entropy included."""
    start = time.perf_counter()
    segmenter.segment(volume)
    return time.perf_counter() - start


# A new process starts with the peak of the one that forked it on its account. This one is large, so
# a small one in between starts the processes to be measured. Linux counts in KiB, macOS in bytes.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
megabytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, megabytes]))
"""


def run_process(command: list[str], threads: int) -> tuple[float, float]:
    """Run a process to its end; return its seconds and its peak memory in MB."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    result = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    code, seconds, megabytes = json.loads(result.stdout)
    if code != 0:
        raise SystemExit(f"{' '.join(command)} failed with {code}")
    return seconds, megabytes


def ten_slices(path: Path) -> Volume:
    """Return the first ten slices of the first frame of an image."""
    volume = read(path).frame(0)
    return Volume(volume.data[:SLICES], volume.geometry, volume.axes, volume.modality)


def measure(model: str, source: Path, threads: int, runs: int) -> tuple[list[Figures], Volume]:
    """Time both networks in turns, in this process and in processes of their own."""
    torch.set_num_threads(threads)
    volume = ten_slices(source)
    segmenters = {name: make_segmenter(name, model) for name in ("flomo", "unet")}
    titles = {"flomo": load_card(model).name, "unet": "MONAI 2-D UNet"}
    figures = {
        name: Figures(titles[name], sum(p.numel() for p in segmenter.network.parameters()))
        for name, segmenter in segmenters.items()
    }
    for segmenter in segmenters.values():
        segmenter.segment(volume, slices=[0])  # the first call sets things up
    for _ in range(runs):
        for name, segmenter in segmenters.items():
            figures[name].seconds.append(time_volume(segmenter, volume))
    with tempfile.TemporaryDirectory() as folder:
        image, labels = Path(folder) / "image.nii.gz", Path(folder) / "labels.nii.gz"
        write(volume, image)
        tail = [str(image), "-o", str(labels), "--model", model]
        commands = {
            "flomo": ["-m", "napari_flomo", "segment", *tail, "--device", "cpu", "--quiet"],
            "unet": [__file__, "--child", *tail],
        }
        for _ in range(runs):
            for name, command in commands.items():
                seconds, memory = run_process([sys.executable, *command], threads)
                figures[name].from_start.append(seconds)
                figures[name].peak_mb.append(memory)
    return list(figures.values()), volume


def child(model: str, image: Path, labels: Path) -> None:
    """Do with the U-Net what ``flomo segment`` does with its model."""
    segmentation = make_segmenter("unet", model).segment(read(image), keep_probabilities=False)
    segmentation.save(labels)


def table(figures: list[Figures], volume: Volume, threads: int, runs: int) -> str:
    """Return the report in Markdown."""
    first, second = (one.medians() for one in figures)
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    slices, rows, columns = volume.spatial_shape
    lines = [
        "# Segmenting a volume of ten slices",
        "",
        f"{slices} x {rows} x {columns} voxels, pixels of {volume.in_plane_spacing[0]:.2f} mm, "
        f"{threads} CPU threads ({processor()}, {torch.backends.cpu.get_cpu_capability()}), "
        f"torch {torch.__version__}, Python {platform.python_version()}; medians of {runs} runs in "
        "turns.",
        "",
        "| | parameters | seconds per volume | ms per slice | seconds from process start to file "
        "| peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for one, (seconds, from_start, memory) in zip(figures, (first, second), strict=True):
        lines.append(
            f"| {one.title} | {one.parameters:,} | {seconds:.2f} | {1000 * seconds / slices:.0f} "
            f"| {from_start:.2f} | {memory:.0f} |"
        )
    lines += [
        f"| ratio | {figures[0].parameters / figures[1].parameters:.2f} | {ratios[0]:.2f} "
        f"| {ratios[0]:.2f} | {ratios[1]:.2f} | {ratios[2]:.2f} |",
        "",
        "A volume's seconds run from the array to labels, probabilities and entropy on its own "
        "grid. The U-Net has random weights and goes through the same code. Its process also "
        "imports MONAI, which ours does not need.",
        "",
        "Made by `python training/benchmarks/segment_volume.py"
        f" --threads {threads} --runs {runs}`.",
        "",
    ]
    return "\n".join(lines)


def processor() -> str:
    """Return the processor's name, where Linux tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Time and memory of a ten-slice volume.")
    parser.add_argument("volume", nargs="?", type=Path, default=SAMPLE, help="image to segment")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("-o", "--out", type=Path, default=TABLE, help="Markdown file to write")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.model, args.volume, args.out)
        return
    figures, volume = measure(args.model, args.volume, args.threads, args.runs)
    report = table(figures, volume, args.threads, args.runs)
    print(report)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as temporary:
        temporary.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
