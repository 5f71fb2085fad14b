"""A replacement of ``python -m napari_flomo finetune``: real files and processes, no network.

Learns for some steps, then writes a candidate of the base model and the report of a gate. What it
does is in the settings file: ``steps``, ``pause`` (seconds for each), ``verdict`` (``nothing``: no
candidate), ``fail``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import StatusWriter
from napari_flomo.models import install_candidate, locate
from napari_flomo.models.card import read_card
from napari_flomo.progress import Progress
from napari_flomo.volumes import Volume, write


def figure(before: float, after: float) -> dict:
    return {
        "before": before,
        "after": after,
        "difference": round(after - before, 4),
        "low": round(after - before - 0.01, 4),
        "high": round(after - before + 0.01, 4),
    }


def part(data: str, rise: float) -> dict:
    def structure(name: str) -> dict:
        return {
            "name": name,
            "dice": figure(0.80, 0.80 + rise),
            "hd95_mm": figure(5.0, 5.0 - 10 * rise),
            "ece": figure(0.04, 0.04),
        }

    names = ("left ventricular myocardium", "left ventricle")
    structures = [structure(name) for name in names]
    return {
        "data": data,
        "sha256": "0" * 64,
        "groups": 3,
        "images": 3,
        "slices": 9,
        "mean": structure("mean"),
        "structures": structures,
    }


def write_candidate(base: str, out: Path, verdict: str) -> str:
    """Write weights that differ in one byte of nothing, a card and a report; install them."""
    folder, model = locate(base), out / "model"
    model.mkdir(exist_ok=True)
    parent = read_card(folder / "card.json")
    weights = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(weights[:8], "little")
    header = weights[8 : 8 + length] + b" " * 8  # padding is allowed, and makes another file of it
    weights = len(header).to_bytes(8, "little") + header + weights[8 + length :]
    (model / "model.safetensors").write_bytes(weights)
    sha256 = hashlib.sha256(weights).hexdigest()
    name = f"{parent.name}.tuned-{sha256[:8]}"
    reasons = [
        "Mean Dice on the reference patients rose by 0.01, from 0.80 to 0.81.",
        "Mean Dice on the corrections kept aside rose by 0.03, from 0.80 to 0.83.",
    ]
    if verdict != "passed":
        reasons = ["Mean Dice on the reference patients fell by 0.05, more than 0.005."]
    gate = model / "gate"
    gate.mkdir(exist_ok=True)
    row, column = np.mgrid[:80, :160]
    picture = (128 + 60 * np.sin(row / 6) * np.cos(column / 9)).astype(np.uint8)
    write(Volume.from_array(picture, axes=("rows", "columns")), gate / "changed-1.png")
    report = {
        "verdict": verdict,
        "reasons": reasons,
        "parent": {"name": parent.name, "sha256": parent.sha256},
        "candidate": {"name": name, "sha256": sha256},
        "reference": part("reference", 0.01 if verdict == "passed" else -0.05),
        "corrections": part("corrections", 0.03),
        "images": [
            {
                "part": "corrections",
                "image": "correction 1",
                "slices": 3,
                "before": 0.7,
                "after": 0.8,
                "picture": "changed-1.png",
            }
        ],
        "left_out": ["One image was left out: both models were trained on it."],
    }
    (gate / "report.json").write_text(json.dumps(report))
    card = replace(
        parent,
        name=name,
        sha256=sha256,
        parent=f"{parent.name} {parent.sha256}",
        gate={
            "verdict": verdict,
            "reasons": reasons,
            "sha256": sha256,
            "parent_sha256": parent.sha256,
        },
    )
    (model / "card.json").write_text(json.dumps(card.to_dict()))
    return install_candidate(model)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    for option in ("store", "base", "out", "device", "replay", "reference", "settings"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args(sys.argv[sys.argv.index("finetune") + 1 :])
    out = Path(args.out)
    settings = {"steps": 6, "pause": 0.02, "verdict": "passed", "fail": ""}
    if args.settings:
        settings |= json.loads(Path(args.settings).read_text())
    steps = int(settings["steps"])
    with StatusWriter(out) as status:
        status.progress(Progress(message="Reading the corrections"))
        start = {"step": 0, "loss": None, "dice": 0.7}
        status.progress(Progress(0, steps, "Training", data=start))
        checkpoint = out / "last"
        first = int(checkpoint.read_text()) if checkpoint.exists() else 0
        for step in range(first + 1, steps + 1):
            if status.cancelled():
                raise Cancelled
            time.sleep(float(settings["pause"]))
            data = {"step": step, "loss": 1 / step, "dice": 0.7 + 0.1 * step / steps}
            left = (steps - step) * float(settings["pause"])
            point = data if step % 2 == 0 else None
            status.progress(Progress(step, steps, "Training", left, point))
            checkpoint.write_text(str(step))
            if settings["fail"] and step == 2:
                raise FlomoError(str(settings["fail"]))
        if settings["verdict"] == "nothing":
            nothing = {"candidate": None, "parent": args.base, "sentence": "Nothing to learn."}
            status.finish(nothing)
            return 0
        candidate = write_candidate(args.base, out, str(settings["verdict"]))
        status.finish({"candidate": candidate, "parent": args.base})
    return 0


if __name__ == "__main__":
    sys.exit(main())
