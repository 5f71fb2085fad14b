"""The page on speed shows what was measured, and names what did not run."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def report(load_benchmark):
    return load_benchmark("speed_report")


@pytest.fixture
def show(load_benchmark, report):
    """Return a function that writes the page from parts of a report."""

    def page(rows=(), choice=(), **parts):
        whole = report.Report("speed.py", report.machine(), "10 slices", rows, choice, **parts)
        return load_benchmark("speed_page").page(whole)

    return page


def row(report, network="flomo-b0", engine="eager", network_ms=(80.0, 100.0, 120.0), **changes):
    plain = {
        "network": network,
        "title": network,
        "engine": engine,
        "precision": "float32",
        "device": "cpu",
        "parameters": 2_000_000,
        "multiply_adds": 2_500_000_000,
        "slices": 10,
        "slice_ms": [90.0] * 19 + [190.0],
        "volume_ms": [1000.0, 1000.0, 1250.0],
        "network_ms": list(network_ms),
    }
    return report.EngineTiming(**plain | changes)


def cells(page: str, *starts: str) -> list[str]:
    """Return the cells of the first line with this beginning."""
    begin = "| " + " | ".join(starts) + " |"
    line = next(line for line in page.splitlines() if line.startswith(begin))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratios_are_taken_round_by_round(report, show):
    rows = [
        row(report),
        # Twice as fast in every round, while the machine was busier and busier.
        row(report, engine="fast", network_ms=(40.0, 50.0, 60.0), same=0.5, dice=0.25),
        row(report, "unet", "fast", (10.0, 12.5, 15.0)),
    ]
    choice = [report.AutoEngine("fast", "measured", 7.4)]
    text = show(rows, choice)
    assert "with **fast** (measured). Choosing it took 7 s" in text
    fast = cells(text, "flomo-b0", "fast", "cpu", "2,000,000")
    assert fast[4:] == ["2.50", "90", "95", "1000", "1225", "10.0", "50.0", "2.00", "4.00"]
    assert cells(text, "flomo-b0", "eager")[-2:] == ["1.00", "-"]  # no U-Net on that engine
    assert cells(text, "flomo-b0", "fast", "cpu", "float32")[4:6] == ["50.0000 %", "0.25000"]


def test_speedup_over_plain_pytorch(report, show):
    rows = [
        row(report, report.PLAIN, volume_ms=[2000.0, 3000.0, 2500.0]),
        row(report, engine="fast", volume_ms=[1000.0, 1000.0, 1250.0]),
        row(report, "flomo-b1"),
    ]
    text = show(rows)
    assert cells(text, report.PLAIN)[-1] == "1.00"
    assert cells(text, "flomo-b0", "fast")[-2:] == ["-", "2.00"]  # eager was not measured
    assert cells(text, "flomo-b1")[-1] == "-"


def test_upper_bound_of_the_processor(report, show):
    rows = [row(report), row(report, engine="openvino", network_ms=(50.0, 40.0, 60.0))]
    paces = [
        report.ConvolutionRate("openvino", "float32", [90e9, 100e9, 110e9]),
        report.ConvolutionRate("openvino-bf16", "bfloat16", [200e9]),  # B0 did not run on that
    ]
    text = show(rows, paces=paces)
    assert cells(text, "openvino", "100") == ["openvino", "100", "25.0", "50.0", "50 %", "4.0"]
    assert "| openvino-bf16 |" not in text
    rows[1].reason = "eager ran"
    text = show(rows, paces=paces)
    assert "Upper bound of this processor" not in text


def test_convolution_rates_are_measured(load_benchmark, monkeypatch):
    ceiling = load_benchmark("speed_ceiling")
    for name, value in (("CHANNELS", 8), ("SIDE", 16), ("LAYERS", 2)):
        monkeypatch.setattr(ceiling, name, value)
    # 2 layers of 16 x 16 pixels, each from 3 x 3 x 8 numbers to 8.
    assert ceiling.multiply_adds() == 2 * 16 * 16 * 9 * 8 * 8
    (pace,) = ceiling.measure_convolution_rates(["eager"], 3)
    assert (pace.engine, pace.precision, len(pace.per_second)) == ("eager", "float32", 3)
    assert all(1e5 < per_second < 1e13 for per_second in pace.per_second)


def test_engine_that_did_not_run_is_not_shown(report, show):
    rows = [row(report), row(report, engine="openvino", same=1.0, dice=1.0, reason="eager ran")]
    text = show(rows)
    assert "| flomo-b0 | openvino |" not in text
    assert "flomo-b0 on openvino (cpu) is not shown: eager ran." in text


def test_stages_and_progress(report, show):
    stages = {"read": [10.0, 30.0], "network": [200.0] * 2, "write": [30.0] * 2}
    feedback = report.ProgressOverhead(
        "fast",
        [100.0] * 4,
        [101.0, 102.0, 102.0, 103.0],
        [5.0, 40.0],
        inside_ms=[0.1, 0.204, 0.3],
        silent_cpu_ms=[50.0] * 4,
        told_cpu_ms=[50.0, 49.5, 49.5, 49.0],
    )
    text = show(
        stages=[report.StageTiming("10 x 9 x 9", "fast", 10, stages | {"all": [250.0, 270.0]})],
        feedback=[feedback],
        processes=[report.ProcessTiming("B0", "auto", 9.0, [3.0, 2.0, 4.0], [500.0, 600.0, 500.0])],
        help_ms=[90.0, 110.0],
    )
    assert cells(text, "10 x 9 x 9")[2:] == [
        *("20", "-", "200", "-", "-", "30", "260"),
        *("6.0", "0.30"),
    ]
    assert "by +2.0 %" in text
    assert "processor time by -1.0 %" in text
    assert "take 0.20 ms per volume, 0.20 % of it" in text
    assert "at most 40 ms" in text
    assert cells(text, "B0", "auto")[2:] == ["9.00", "3.00", "4.00", "600"]
    assert "100 ms" in text


def test_labels_are_compared_over_structures(load_benchmark):
    truth = np.array([0, 0, 1, 2, 2, 0], np.uint8)
    same, dice = load_benchmark("speed").label_agreement(
        np.array([0, 0, 1, 2, 1, 0], np.uint8), truth
    )
    assert (same, dice) == (pytest.approx(5 / 6), pytest.approx(2 / 3))


def test_the_machine_is_described_without_its_name(load_benchmark):
    found = load_benchmark("speed_report").machine()
    assert {"processor", "flags", "threads", "torch"} <= found.keys()
    assert platform.node() not in found.values()
    assert not any("/" in value for key, value in found.items() if key not in ("processor", "gpu"))


@pytest.mark.slow
def test_the_script_measures(repository, make_volume, tmp_path):
    from napari_flomo.volumes import write

    write(make_volume(slices=2, rows=40, columns=40, spacing=(1.5, 1.5, 8.0)), tmp_path / "i.nii")
    script = repository / "training" / "benchmarks" / "speed.py"
    options = (
        "--threads 1 --runs 1 --only networks,help --networks flomo-b0 --engines eager,openvino"
    )
    command = [sys.executable, str(script), str(tmp_path / "i.nii"), *options.split()]
    subprocess.run([*command, "-o", str(tmp_path / "speed.md")], check=True, timeout=250)
    measured = json.loads((tmp_path / "speed.json").read_text())
    assert [row["engine"] for row in measured["rows"]] == ["eager", "openvino"]
    assert all(len(row["slice_ms"]) == 3 and not row["reason"] for row in measured["rows"])
    assert measured["rows"][1]["same"] > 0.999
    assert measured["rows"][0]["multiply_adds"] > 1e9
    assert str(tmp_path) not in (tmp_path / "speed.md").read_text()
