"""``flomo segment-many``, in this process and with workers."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel import Nifti1Image

from napari_flomo.cohorts import CohortConfig, StudyFilter, segment_cohort
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume, read, write

Flomo = Callable[..., tuple[str, str]]


@pytest.fixture
def images(tmp_path: Path, make_heart: Callable[..., Volume]) -> Path:
    """Three studies that differ, in two formats."""
    root = tmp_path / "images"
    for number, name in enumerate(["p1/ed.nii.gz", "p1/es.nrrd", "p2/ed.nii.gz"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(make_heart(slices=2, size=40, seed=number), root / name)
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def spoil(images: Path) -> None:
    """Add a file that is cut short and one with too many axes."""
    whole = (images / "p1" / "ed.nii.gz").read_bytes()
    (images / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    Nifti1Image(np.zeros((4, 4, 3, 2, 3), np.int16), np.eye(4)).to_filename(images / "rank5.nii")


@pytest.fixture
def many(flomo: Flomo) -> Flomo:
    """Run ``flomo segment-many``."""
    return partial(flomo, "segment-many")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of all studies."""
    studies = folder / "studies"
    files = sorted(path for path in studies.rglob("*") if path.is_file())
    return {path.relative_to(studies).as_posix(): path.read_bytes() for path in files}


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_equals_segment(images: Path, out: Path, model: Path, many: Flomo, flomo: Flomo) -> None:
    flags = ["--model", model, "--device", "cpu", "--engine", "eager"]
    flags += ["--mirrored"]  # as it would be for anybody who wants the best labels
    options = [images, "--out", out, *flags, "--workers", 1, "--uncertainty", "--probabilities"]
    printed, said = many(*options, "--json")
    assert said == ""
    summary = json.loads(printed)
    assert (summary["found"], summary["done"], summary["failed"]) == (3, 3, 0)

    for study in ("p1/ed.nii.gz", "p1/es.nrrd", "p2/ed.nii.gz"):
        single = out.parent / "single"
        single.mkdir()
        files = {name: single / f"{name}.nii.gz" for name in ("uncertainty", "probabilities")}
        extra = [text for name, path in files.items() for text in (f"--{name}", path)]
        flomo("segment", images / study, "-o", single / "labels.nii.gz", *flags, *extra, "-q")
        made = out / "studies" / study
        names = {path.name for path in single.iterdir()}
        assert names == {path.name for path in made.iterdir()}
        for name in names:
            assert (made / name).read_bytes() == (single / name).read_bytes(), f"{study} {name}"
        assert len(np.unique(read(made / "labels.nii.gz").data)) > 1, "empty labels show nothing"
        shutil.rmtree(single)


def test_failures_are_reported(images: Path, out: Path, model: Path, many: Flomo) -> None:
    spoil(images)
    options = [images, "--out", out, "--model", model, "--workers", 1, "--device", "cpu"]
    printed, said = many(*options, code=3)
    assert said == ""
    for words in ("5 studies: 3 segmented", "2 failed", "  cut.nii.gz: cut.nii.gz cannot be read"):
        assert words in printed
    reported = {result["study"]: result for result in results(out)}
    assert reported["rank5.nii"]["state"] == "failed"
    assert "5" in reported["rank5.nii"]["error"]
    assert str(images.parent) not in (out / "manifest.jsonl").read_text()
    assert not (out / "studies" / "cut.nii.gz").exists()

    result = reported["p1/ed.nii.gz"]
    assert (result["state"], result["attempts"], result["error"]) == ("done", 1, None)
    assert result["manifest"]["model"]["name"] == "random"
    assert result["manifest"]["device"] == "cpu"
    assert {"hash", "read", "network", "write", "total"} <= set(result["seconds"])
    expected = Segmenter.from_pretrained(model, "cpu").segment(read(images / "p1/ed.nii.gz"))
    uncertainty = result["most_uncertain"]
    assert uncertainty["slice"] == int(expected.slice_scores[0].argmax())
    assert uncertainty["score"] == pytest.approx(float(expected.slice_scores.max()), rel=1e-3)
    scores, geometry = expected.scores, expected.labels.geometry
    assert scores is not None
    wrong = scores.expected_voxels(geometry)
    assert result["expected_voxels"][0] == pytest.approx(wrong[0].tolist(), rel=1e-3)
    assert result["expected_dice"][0] == pytest.approx(scores.expected_dice.min(0)[0], rel=1e-3)
    with (out / "review.csv").open(newline="") as stream:
        review = list(csv.DictReader(stream))
    assert {line["study"] for line in review} == {"p1/ed.nii.gz", "p1/es.nrrd", "p2/ed.nii.gz"}
    assert f"Wrote the order of review to {out / 'review.csv'}" in printed
    voxels = {one["code"]: one["voxels"] for one in result["volumes_ml"]}
    assert voxels == {code: int((expected.labels.data == code).sum()) for code in (1, 5)}

    (images / "cut.nii.gz").write_bytes((images / "p1/ed.nii.gz").read_bytes())
    (images / "rank5.nii").unlink()
    assert "4 studies: 1 segmented" in many(*options)[0]
    assert len(results(out)) == 6
    assert len((out / "cohort.csv").read_text().splitlines()) == 6  # rank5 failed, and is gone


def test_list(images: Path, out: Path, model: Path, many: Flomo) -> None:
    (images / "labels.nii.gz").touch()
    options = [images, "--out", out, "--model", model, "--list"]
    assert many(*options)[0].splitlines() == [
        "new     p1/ed.nii.gz",
        "new     p1/es.nrrd",
        "new     p2/ed.nii.gz",
        "-       labels.nii.gz (named like labels)",
        "3 studies: 3 new",
    ]
    assert not out.exists()
    found = json.loads(many(*options, "--json", "--pattern", "p1/*")[0])
    assert len(found["studies"]) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "flomo-b0-acdcc"], "no model named 'flomo-b0-acdcc'"),
        (["--pattern", "*.dcm", "--workers", "1"], "No image for random was found"),
    ],
)
def test_invalid_arguments(
    images: Path, model: Path, refused: Callable[..., str], arguments: list[str], sentence: str
) -> None:
    out = images.with_name("out")
    options = ["segment-many", images, "--out", out]
    options += [] if "--model" in arguments else ["--model", model]
    assert sentence in refused(*options, *arguments)
    assert not out.exists()


def test_results_are_not_mixed(images: Path, out: Path, model: Path, many: Flomo) -> None:
    options = [images, "--out", out, "--model", model, "--workers", 1, "--pattern", "p2/*", "-q"]
    many(*options)
    said = many(*options, "--uncertainty", code=2)[1]
    assert "was begun with labels, not labels and uncertainty" in said
    many(*options, "--uncertainty", "--again")
    assert [result["run"] for result in results(out)] == [1, 2]
    many(*options, "--uncertainty", "--format", "nrrd", "--again")
    assert set(contents(out)) == {"p2/ed.nii.gz/labels.nrrd", "p2/ed.nii.gz/uncertainty.nrrd"}


@pytest.fixture
def start(start_python: Callable[..., Any]) -> Callable[..., Any]:
    """Start the command in its own process group, so that all of it can be killed."""
    return partial(start_python, "-m", "napari_flomo", "segment-many", start_new_session=True)


def wait_for_rows(process: subprocess.Popen[str], out: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    path = out / "manifest.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cohort(images: Path, count: int) -> None:
    """Make many studies of three."""
    sources = ["p1/ed.nii.gz", "p2/ed.nii.gz"]
    for number in range(count):
        shutil.copy(images / sources[number % 2], images / f"{number:03}.nii.gz")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups are killed")
def test_resume_after_kill_and_interruption(
    images: Path, out: Path, model: Path, start: Callable[..., Any], many: Flomo
) -> None:
    """Two workers: kill -9 of everything, Ctrl+C, a worker that is killed, then to the end."""
    pytest.importorskip("distributed")
    psutil = pytest.importorskip("psutil")
    cohort(images, 60)
    options = [images, "--out", out, "--model", model, "--workers", 2, "--engine", "eager"]
    options += ["--device", "cpu"]

    first = start(*options)
    wait_for_rows(first, out, 5)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = len(results(out)) if (out / "manifest.jsonl").read_bytes().endswith(b"\n") else 5

    second = start(*options)
    wait_for_rows(second, out, kept + 5)
    workers = psutil.Process(second.pid).children(recursive=True)
    os.killpg(second.pid, signal.SIGINT)  # as a terminal does
    _, said = second.communicate(timeout=60)
    assert second.returncode == 130
    assert said.startswith("flomo: Interrupted; finished studies are kept")
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    kept = len(results(out))
    assert 10 <= kept < 63

    third = start(*options, "--json")
    wait_for_rows(third, out, kept + 5)
    listening = [
        connection.laddr.ip
        for process in (psutil.Process(third.pid), *psutil.Process(third.pid).children(True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}
    names = {p: " ".join(p.cmdline()) for p in psutil.Process(third.pid).children(True)}
    next(p for p, name in names.items() if "spawn_main" in name).kill()
    reported, said = third.communicate(timeout=240)
    assert said == ""
    summary = json.loads(reported)
    assert (summary["found"], summary["kept"], summary["failed"]) == (63, kept, 0)
    assert third.returncode == 0

    studies = [result["study"] for result in results(out)]
    assert len(studies) == len(set(studies)) == 63, "a finished study was done again"
    assert not list(out.rglob(".flomo-*"))
    whole = out.with_name("whole")
    many(images, "--out", whole, *options[3:5], "--workers", 1, *options[7:], "-q")
    assert contents(out) == contents(whole)


KILL_ON_FAILURE = """
import os, signal
from napari_flomo.cohorts import study_runner

def kill(_error):
    os.kill(os.getpid(), getattr(signal, "{signal}", signal.SIGTERM))

study_runner.describe = kill
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reported"),
    [("SIGKILL", "most likely because memory ran out"), ("SIGABRT", "with the signal SIGABRT")],
)
def test_killed_worker(name: str, reported: str, images: Path, out: Path, model: Path) -> None:
    pytest.importorskip("distributed")
    import dask

    spoil(images)
    with dask.config.set({"distributed.worker.preload": [KILL_ON_FAILURE.format(signal=name)]}):
        summary = segment_cohort(
            CohortConfig(images, out, device="cpu", engine="eager"),
            model,
            study_filter=StudyFilter(exclude=["rank5*"]),
            workers=2,
        )
    assert (summary.done, summary.failed) == (3, 1)
    ((study, sentence),) = summary.failures
    assert study == "cut.nii.gz"
    if sys.platform != "win32":
        assert reported in sentence
    attempts = {result["study"]: result["attempts"] for result in results(out)}
    assert attempts["cut.nii.gz"] == 2


def test_remote_scheduler(
    images: Path, model: Path, many: Flomo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is a thread of this process here; nothing of the run stays with it."""
    distributed = pytest.importorskip("distributed")
    from napari_flomo.cohorts import cluster, dask_worker

    spoil(images)
    there = {"processes": False, "protocol": "tcp://", "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **there) as running:
        (worker,) = running.workers.values()
        before = set(worker.plugins)
        options = [images, "--model", model, "--scheduler", running.scheduler_address]
        options += ["--engine", "eager", "--device", "cpu"]
        with monkeypatch.context() as patched:
            patched.setattr(dask_worker, "__version__", "0.0.1")
            said = many(*options, "--out", images.with_name("old"), code=2)[1]
        assert "has napari-flomo 0.0.1, but this is" in said
        printed = many(*options, "--out", images.with_name("out"), code=3)[0]
        assert "5 studies: 3 segmented" in printed
        assert set(worker.plugins) == before
        assert not running.scheduler.tasks
        monkeypatch.setattr(cluster, "WORKER_TIMEOUT_SECONDS", 0.5)
        running.scale(0)
        running.sync(running._correct_state)
        said = many(*options, "--out", images.with_name("none"), code=2)[1]
        assert "has no workers; start some first" in said
    alone = images.with_name("alone")
    flags = ["--model", model, "--workers", 1, "--engine", "eager", "--device", "cpu"]
    many(images, "--out", alone, *flags, code=3)
    assert contents(images.with_name("out")) == contents(alone)


def test_no_scheduler(images: Path, out: Path, model: Path, many: Flomo) -> None:
    pytest.importorskip("distributed")
    options = [images, "--out", out, "--model", model, "--scheduler", "nonsense://x"]
    assert "No Dask scheduler answers at nonsense://x" in many(*options, code=2)[1]
