"""Compare networks and engines on the CPU: time per slice and per volume, agreement.

    python training/benchmarks/speed.py --peer myopari/Resources/tiramisu_acdc_fp32.onnx

Everything runs in turns, so the ratios hold even on a busy machine; times of single slices are
processor time on one thread. With NNCF installed, graphs in int8 are compared, too, calibrated on
the sample and on the images given with ``--calibration``. Labels are compared on the images of
``--agreement``. Writes ``docs/benchmarks/speed.md`` and ``speed.json``.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from page_writer import SAMPLE, parser_of, processor, write_page
from speed_networks import MEASURED, PEER_SIDE, Images, Subject, baseline, peer, trained
from speed_page import STRUCTURES, page
from timing import time_in_turns

from flomo_training.json_files import write_json
from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_card
from napari_flomo.segmentation import Segmenter, prepare
from napari_flomo.segmentation.engines import ENGINES, unavailable_reason
from napari_flomo.volumes import read

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
EVERY = 3
"""Every third slice is enough to calibrate, to time and to compare labels."""
PACKAGES = ("torch", "openvino", "onnxruntime", "nncf", "monai", "numpy", "napari-flomo")


def machine() -> dict[str, str]:
    """Describe the hardware, its load and the versions, without names of computers or folders."""
    name, flags = processor()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    found = {
        "processor": f"{name} ({' '.join(flag for flag in FLAGS if flag in flags)})",
        "cores": str(os.cpu_count()),
        "load": load,
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def network_images(paths: Sequence[Path], model: str, side: int | None = None) -> Images:
    """Return all slices of images as the network of a model gets them.

    With a ``side`` the field of view has that many pixels.
    """
    steps = load_card(model).preprocessing
    if side is not None:
        steps = replace(steps, crop=side)
    found = []
    for path in paths:
        volume = read(path).frame(0)
        found.append(prepare(volume.data, volume.in_plane_spacing, steps)[0])
    return np.concatenate(found)


def structure_dice(
    ours: NDArray[Any], theirs: NDArray[Any], structures: int = len(STRUCTURES)
) -> list[float]:
    """Return the Dice of each structure over all slices of two arrays of labels; 1 without any."""
    found = []
    for code in range(1, structures + 1):
        mine, plain = ours == code, theirs == code
        marked = int(mine.sum() + plain.sum())
        found.append(float(2 * (mine & plain).sum() / marked) if marked else 1.0)
    return found


def measure_slices(
    subjects: Sequence[Subject], images: dict[int, Images], rounds: int
) -> list[dict[str, Any]]:
    """Time all networks and runtimes on single slices, in turns; milliseconds of processor time."""
    tasks = {
        (subject.title, name): partial(_one_by_one, run, images[subject.side])
        for subject in subjects
        for name, run in subject.runs.items()
    }
    seconds = time_in_turns(tasks, rounds, time.process_time)
    rows = []
    for subject in subjects:
        count = len(images[subject.side])
        for name in subject.runs:
            times = [1000 * one / count for one in seconds[subject.title, name]]
            rows.append(
                {
                    "network": subject.title,
                    "engine": name,
                    "side": subject.side,
                    "parameters": subject.parameters,
                    "multiply_adds": subject.multiply_adds,
                    "slice_ms": times,
                }
            )
    return rows


def _one_by_one(run: Any, images: Images) -> None:
    for image in images:
        run(image[None])


def measure_agreement(subject: Subject, images: Images) -> dict[str, list[float]]:
    """Return the Dice of each structure between every runtime and eager PyTorch."""
    labels = {
        name: np.concatenate([run(image[None]).argmax(1) for image in images])
        for name, run in subject.runs.items()
    }
    return {
        name: structure_dice(one, labels["eager"])
        for name, one in labels.items()
        if name != "eager"
    }


def measure_volumes(model: str, image: Path, rounds: int) -> dict[str, list[float]]:
    """Time a volume from the array to labels, probabilities and entropy, in milliseconds."""
    volume = read(image)
    names = [name for name in MEASURED if unavailable_reason(ENGINES[name], "cpu") is None]
    tasks = {
        name: partial(Segmenter.from_pretrained(model, "cpu", name).segment, volume)
        for name in names
    }
    return {
        name: [1000 * one for one in seconds]
        for name, seconds in time_in_turns(tasks, rounds).items()
    }


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "speed.md")
    parser.add_argument("--image", type=Path, default=SAMPLE, help="volume to time")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--peer", type=Path, help="ONNX graph of another project, 256 x 256")
    parser.add_argument("--calibration", type=Path, nargs="*", default=[], help="more images")
    parser.add_argument("--agreement", type=Path, nargs="*", default=[], help="images")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="of volumes")
    args = parser.parse_args()

    torch.set_num_threads(1)  # other engines use as many
    model = args.model
    calibration = network_images([args.image, *args.calibration], model)[::EVERY]
    subjects = [trained(model, calibration)]
    subjects += [baseline(name, model, calibration) for name in ("unet", "dynunet")]
    images = {calibration.shape[-1]: network_images([args.image], model)[::EVERY]}
    if args.peer is not None:
        images[PEER_SIDE] = network_images([args.image], model, PEER_SIDE)[::EVERY]
        subjects.append(peer(args.peer, images[PEER_SIDE]))
    compared = network_images(args.agreement or [args.image], model)[::EVERY]
    report: dict[str, Any] = {
        "machine": machine(),
        "threads": args.threads,
        "rounds": args.rounds,
        "image": list(read(args.image).spatial_shape),
        "calibration_slices": len(calibration),
        "slices": measure_slices(subjects, images, args.rounds),
        "agreement_slices": len(compared),
        "agreement": measure_agreement(subjects[0], compared),
    }
    del subjects
    torch.set_num_threads(args.threads)
    report["volumes"] = measure_volumes(model, args.image, args.rounds)
    write_page(args.out, page(report))
    write_json(report, args.out.with_suffix(".json"))


if __name__ == "__main__":
    main()
