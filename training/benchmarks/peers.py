"""Compare the bundled model with a published napari plugin on the same volumes.

    python training/benchmarks/peers.py --data "MyoPS bSSFP=DIR" --data "Sunnybrook=DIR"

The peer is `myopari` 0.1.6 (PyPI, MIT), whose wheel contains an ONNX network for ACDC with the same
label codes. It is installed into a separate environment, without napari and CUDA, and gets arrays
in nibabel's axis order, like its widget. Data folders have ``cases.csv``, ``images/`` and
``labels/`` as ``flomo data prepare`` writes them; only structures that the reference of a case
contains are compared. For the speed, all models run alternately in separate processes over the
first volumes.

Writes ``docs/benchmarks/peers.md`` and ``peers.json``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from page_writer import Columns, document, interval, parser_of, table, table_of, write_page

from flomo_training.cases import Case, case_from_row, read_case, read_case_rows
from flomo_training.evaluate import measure_structures
from flomo_training.json_files import write_json
from flomo_training.metrics_table import StructureMetrics
from flomo_training.summary import figures
from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_card
from napari_flomo.volumes import Volume

PEER = "myopari"
REQUIREMENTS = ("onnxruntime==1.31.1", "scikit-image", "numpy")
PEER_PACKAGE = "myopari==0.1.6"
SPEED_VOLUMES = 4
CHILD = Path(__file__).with_name("peers_child.py")


def make_environment(folder: Path) -> Path:
    """Create an environment with the peer, unless it exists, and return its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *REQUIREMENTS], check=True)
        subprocess.run([*pip, "--no-deps", PEER_PACKAGE], check=True)
    return python


def run(python: Path, subject: str, threads: int, folder: Path) -> dict[str, Any]:
    """Run a model over the volumes of a folder; see `peers_child`."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if subject != PEER:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    environment["OMP_NUM_THREADS"] = str(threads)
    command = [str(python), str(CHILD), subject, str(threads), str(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def export_volumes(cases: Sequence[Case], folder: Path) -> dict[str, tuple[Volume, Volume]]:
    """Write the images of cases and their list for the models; return images and references."""
    found = {}
    for case in cases:
        image, reference = read_case(case)
        np.save(folder / f"{case.name}.npy", image.data.T)
        steps = json.dumps(list(image.geometry.spacing))
        (folder / f"{case.name}.json").write_text(steps, encoding="utf-8")
        found[case.name] = image, reference
    (folder / "volumes.json").write_text(json.dumps(list(found)), encoding="utf-8")
    return found


def cases_of(source: Path) -> list[Case]:
    """Return all cases of a data folder."""
    return [case_from_row(source, row) for row in read_case_rows(source)]


def measure(
    cases: Sequence[Case],
    volumes: Mapping[str, tuple[Volume, Volume]],
    subject: str,
    folder: Path,
) -> list[StructureMetrics]:
    """Compare the labels that a model wrote with the references."""
    labels = load_card(DEFAULT_MODEL).labels[1:]
    rows: list[StructureMetrics] = []
    for case in cases:
        image, reference = volumes[case.name]
        found = np.load(folder / f"{case.name}-{subject.replace(':', '-')}.npy").T
        result = replace(image, data=np.ascontiguousarray(found), extra={})
        known = [label for label in labels if (reference.data == label.code).any()]
        rows += measure_structures(case, reference, result, known, {})
    return rows


def accuracy_of(title: str, source: Path, subjects: Mapping[str, Path], threads: int) -> Any:
    """Return the accuracy of every model on one data folder."""
    cases = cases_of(source)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        volumes = export_volumes(cases, folder)
        result: dict[str, Any] = {}
        for subject, python in subjects.items():
            print(f"{title}: {subject}", file=sys.stderr, flush=True)
            run(python, subject, threads, folder)
            summary = figures(measure(cases, volumes, subject, folder))
            result[subject] = {
                "mean_dice": summary["mean_dice"],
                "interval_95": summary["interval_95"],
                "dice": {name: cells["all"] for name, cells in summary["dice"].items()},
                "volumes": summary["volumes"],
                "patients": summary["patients"],
            }
    return result


def speed_of(source: Path, subjects: Mapping[str, Path], threads: int, rounds: int) -> Any:
    """Return milliseconds per slice and peak megabytes of every model, run alternately."""
    reports: dict[str, list[dict[str, Any]]] = {subject: [] for subject in subjects}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        volumes = export_volumes(cases_of(source)[:SPEED_VOLUMES], folder)
        slices = sum(image.n_slices for image, _ in volumes.values())
        for number in range(rounds):
            for subject, python in subjects.items():
                print(f"round {number + 1} of {rounds}: {subject}", file=sys.stderr, flush=True)
                reports[subject].append(run(python, subject, threads, folder))
    result = {}
    for subject, found in reports.items():
        times = [1000 * sum(report["seconds"].values()) / slices for report in found]
        result[subject] = {
            "ms_per_slice": round(statistics.median(times), 1),
            "ms_per_slice_range": [round(min(times), 1), round(max(times), 1)],
            "peak_mb": round(max(report["peak_mb"] for report in found)),
        }
    return result


def page(report: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    blocks = [
        "# Comparison with another napari plugin",
        "Written by `training/benchmarks/peers.py`; do not edit by hand.",
        f"`myopari` is {PEER_PACKAGE} from PyPI (MIT), whose ONNX network (1.4 M parameters) was "
        "trained on ACDC; it runs as published, with ONNX Runtime on the CPU, in an environment of "
        "its own and with arrays in nibabel's axis order. All models saw the same volumes in this "
        f"run, with {report['threads']} threads. Dice: 3-D, whole volumes in native spacing, only "
        "structures that the reference of a case contains; mean over volumes, then over "
        "structures; brackets: 95 % bootstrap intervals over patients.",
    ]
    for title, results in report["accuracy"].items():
        first = next(iter(results.values()))
        lines = [
            [f"`{subject}`"]
            + [f"{found['dice'][name]:.4f}" for name in first["dice"]]
            + [interval([found["mean_dice"], *found["interval_95"]], 4)]
            for subject, found in results.items()
        ]
        blocks += [
            f"## {title}",
            f"{first['volumes']} volumes of {first['patients']} patients.",
            table(["model", *first["dice"], "mean Dice"], lines),
        ]
    peer = report["speed"][PEER]["ms_per_slice"]
    speed: Columns = {
        "model": "`{0[0]}`",
        "ms per slice": "{0[1][ms_per_slice]} ({0[1][ms_per_slice_range][0]} to "
        "{0[1][ms_per_slice_range][1]})",
        "ratio": lambda item: f"{item[1]['ms_per_slice'] / peer:.2f}",
        "peak memory, MB": "{0[1][peak_mb]}",
    }
    return document(
        *blocks,
        "## Speed and memory",
        f"{report['rounds']} alternating rounds over {SPEED_VOLUMES} volumes, each in a new "
        "process after one volume to warm up; whole calls, from the array to the labels; median "
        "and range. Ratio: to myopari.",
        table_of(report["speed"].items(), speed),
    )


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "peers.md")
    parser.add_argument("--data", action="append", required=True, metavar="TITLE=DIR")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of our model")
    parser.add_argument("--environment", type=Path, default=Path("runs/peer-environment"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    ours = Path(sys.executable)
    sources = dict(text.split("=", 1) for text in options.data)
    peer = {PEER: make_environment(options.environment.resolve())}
    measured = peer | {f"{options.model}:openvino{views}": ours for views in ("", ":mirrored")}
    timed = peer | {f"{options.model}:{engine}": ours for engine in ("eager", "openvino")}
    report = {
        "threads": options.threads,
        "rounds": options.rounds,
        "accuracy": {
            title: accuracy_of(title, Path(folder), measured, options.threads)
            for title, folder in sources.items()
        },
        "speed": speed_of(
            Path(next(iter(sources.values()))), timed, options.threads, options.rounds
        ),
    }
    write_page(options.out, page(report))
    write_json(report, options.out.with_suffix(".json"))


if __name__ == "__main__":
    main()
