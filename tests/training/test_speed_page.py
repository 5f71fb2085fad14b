"""The page on speed shows what was measured, and its script measures."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import numpy as np
import pytest


def cells(page: str, *starts: str) -> list[str]:
    """Return the cells of the first line with this beginning."""
    begin = "| " + " | ".join(starts) + " |"
    line = next(line for line in page.splitlines() if line.startswith(begin))
    return [cell.strip() for cell in line.strip("|").split("|")]


def row(network: str, engine: str, slice_ms: list[float]) -> dict:
    costs = {"side": 192, "parameters": 2_000_000, "multiply_adds": 2_500_000_000}
    return {"network": network, "engine": engine, "slice_ms": slice_ms, **costs}


def test_ratios_are_taken_round_by_round(load_benchmark):
    report = {
        "machine": {"processor": "CPU", "cores": "2", "load": "5.0", "torch": "2"},
        "threads": 2,
        "rounds": 3,
        "image": [12, 256, 256],
        "calibration_slices": 20,
        "slices": [
            row("B0", "eager", [80.0, 100.0, 120.0]),
            # Twice as fast in every round, while the machine was busier and busier.
            row("B0", "openvino", [40.0, 50.0, 60.0]),
            row("UNet", "openvino", [10.0, 12.5, 15.0]),
        ],
        "agreement_slices": 7,
        "agreement": {"openvino": [1.0, 0.99, 0.98]},
        "volumes": {"eager": [800.0, 1000.0, 900.0], "openvino": [400.0, 500.0, 450.0]},
    }
    text = load_benchmark("speed_page").page(report)
    assert cells(text, "B0", "openvino")[3:] == ["2.00 M", "2.50 G", "50.0", "0.50", "1.00"]
    assert cells(text, "UNet", "openvino")[-2:] == ["–", "0.25"]  # eager was not measured
    assert cells(text, "openvino", "1.0000")[2:] == ["0.9900", "0.9800"]
    assert cells(text, "openvino", "450")[2:] == ["0.50"]
    assert "load average 5.0" in text


def test_dice_of_each_structure(load_benchmark):
    truth = np.array([0, 0, 1, 2, 2, 0], np.uint8)
    found = load_benchmark("speed").structure_dice(np.array([0, 0, 1, 2, 1, 0], np.uint8), truth)
    assert found == [pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0]


def test_the_machine_is_described_without_its_name(load_benchmark):
    found = load_benchmark("speed").machine()
    assert {"processor", "load", "torch"} <= found.keys()
    assert platform.node() not in found.values()


@pytest.mark.slow
def test_the_script_measures(repository, make_volume, tmp_path):
    from napari_flomo.volumes import write

    write(make_volume(slices=2, rows=40, columns=40, spacing=(1.5, 1.5, 8.0)), tmp_path / "i.nii")
    script = repository / "training" / "benchmarks" / "speed.py"
    options = ["--threads", "1", "--rounds", "1", "--image", str(tmp_path / "i.nii")]
    options += ["-o", str(tmp_path / "speed.md")]
    subprocess.run([sys.executable, str(script), *options], check=True, timeout=250)
    measured = json.loads((tmp_path / "speed.json").read_text())
    assert {"eager", "openvino"} <= {row["engine"] for row in measured["slices"]}
    assert min(measured["agreement"]["openvino"]) > 0.999
    assert str(tmp_path) not in (tmp_path / "speed.md").read_text()
