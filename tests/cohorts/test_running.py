"""Distribution of studies and the record of their results, with a fake executor."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.cohorts import (
    CohortConfig,
    CohortSummary,
    StudyResult,
    list_cohort,
    running,
    segment_cohort,
)
from napari_flomo.cohorts.config import StudyTask
from napari_flomo.cohorts.executor import Outcome
from napari_flomo.cohorts.inputs import read_input
from napari_flomo.cohorts.manifest import MANIFEST
from napari_flomo.cohorts.study_runner import (
    WorkerConfig,
    failed_result,
    remove_temporary_files,
    without_paths,
)
from napari_flomo.errors import FlomoError
from napari_flomo.models import locate
from napari_flomo.progress import Progress

Grow = Callable[..., Path]
SLOTS = 3


class FakeExecutor:
    """Writes empty files in the place of labels; some studies it loses or fails."""

    def __init__(self) -> None:
        self.lost: dict[str, int] = {}
        self.failing: set[str] = set()
        self.done: list[str] = []
        self.most = 0
        self.interrupt_after: int | None = None
        self.closed = False
        self._waiting: deque[StudyTask] = deque()
        self._config = CohortConfig(Path(), Path())

    @contextlib.contextmanager
    def open(self, worker_config: WorkerConfig) -> Iterator[FakeExecutor]:
        self._config, self.worker_config = worker_config.config, worker_config
        yield self
        self.closed = True

    def slots(self) -> int:
        return SLOTS

    def submit(self, task: StudyTask) -> None:
        self._waiting.append(task)
        self.most = max(self.most, len(self._waiting))

    def wait(self, seconds: float) -> list[Outcome]:
        if self.interrupt_after is not None and len(self.done) >= self.interrupt_after:
            raise KeyboardInterrupt
        return [self._one(self._waiting.popleft())] if self._waiting else []

    def stop(self) -> int:
        self.interrupt_after = None
        return len(self._waiting)

    def _one(self, task: StudyTask) -> Outcome:
        id = task.study.id
        if self.lost.get(id, 0) >= task.attempt:
            return Outcome(task, None, f"The process ended at {self._config.root}/{id}.")
        source = read_input(task.study, self._config.root)
        if task.known is not None and b'"sha256":"%s"' % source.sha256.encode() in task.known:
            known = StudyResult.from_line(task.known)
            assert known is not None
            return Outcome(task, replace(known, input=source))
        if id in self.failing:
            return Outcome(task, failed_result(self._config, task, "It is broken.", source))
        self.done.append(id)
        outputs = self._config.outputs(id)
        for path in outputs.values():
            (self._config.out / path).parent.mkdir(parents=True, exist_ok=True)
            (self._config.out / path).touch()
        result = StudyResult(id, self._config.run, "done", source, outputs, attempts=task.attempt)
        return Outcome(task, result)


@pytest.fixture
def fake_executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    executor = FakeExecutor()
    monkeypatch.setattr(
        running, "_executor", lambda worker_config, *_: executor.open(worker_config)
    )
    return executor


@pytest.fixture
def config(grow: Grow, tmp_path: Path) -> CohortConfig:
    """Ten studies."""
    return CohortConfig(grow(*(f"p{n}/a.nii.gz" for n in range(10))), tmp_path / "new" / "out")


def run(config: CohortConfig, **options: Any) -> CohortSummary:
    return segment_cohort(config, locate(DEFAULT_MODEL), **{"workers": 1} | options)


def states(config: CohortConfig) -> dict[str, str]:
    results = (
        StudyResult.from_line(line) for line in (config.out / MANIFEST).read_bytes().splitlines()
    )
    return {result.study: result.state for result in results if result is not None}


def test_all_studies_are_done_once(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    reported: list[Progress] = []
    summary = run(config, progress=reported.append)
    assert (summary.found, summary.done, summary.failed, summary.kept) == (10, 10, 0, 0)
    ids = [f"p{n}/a.nii.gz" for n in range(10)]
    assert sorted(fake_executor.done) == sorted(states(config)) == ids
    assert fake_executor.most == SLOTS  # the rest waits here, however many there are
    assert fake_executor.worker_config.share == 10
    assert [(one.done, one.total) for one in (reported[0], reported[-1])] == [(0, 10), (10, 10)]
    table = (config.out / "cohort.csv").read_text().splitlines()
    assert len(table) == 11
    assert table[1].startswith("p0/a.nii.gz,done,,studies/p0/a.nii.gz/labels.nii.gz")


def test_finished_studies_are_kept(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    run(config)
    fake_executor.done.clear()
    (config.root / "p1" / "a.nii.gz").write_bytes(b"another image")
    (config.root / "p2" / "a.nii.gz").touch()  # new date, same content
    (config.out / "studies/p3/a.nii.gz/labels.nii.gz").unlink()
    (config.root / "p4" / "new.nii.gz").write_bytes(b"one more")
    found = {study.id: state for study, state in list_cohort(config, locate(DEFAULT_MODEL))}
    expected = {"p1/a.nii.gz": "changed", "p2/a.nii.gz": "changed", "p3/a.nii.gz": "new"}
    expected["p4/new.nii.gz"] = "new"
    assert {id: state for id, state in found.items() if state != "done"} == expected
    summary = run(config)
    assert (summary.found, summary.kept) == (11, 7)
    assert sorted(fake_executor.done) == ["p1/a.nii.gz", "p3/a.nii.gz", "p4/new.nii.gz"]
    assert run(config).kept == 11
    assert len(fake_executor.done) == 3


def test_again(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    run(config)
    fake_executor.interrupt_after = 14
    with pytest.raises(KeyboardInterrupt):
        run(config, again=True)
    assert len(fake_executor.done) == 10 + 4 + SLOTS  # what was under way ended in time
    fake_executor.interrupt_after = None
    summary = run(config)  # goes on with the second run, not with the first
    assert (summary.kept, summary.done) == (4 + SLOTS, 6 - SLOTS)
    assert len(fake_executor.done) == 20


def test_interruption_keeps_studies(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    fake_executor.interrupt_after = 4
    with pytest.raises(KeyboardInterrupt):
        run(config)
    assert len(states(config)) == len(fake_executor.done) == 4 + SLOTS
    assert not (config.out / "cohort.csv").exists()


def test_lost_study_is_retried(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    fake_executor.lost = {"p1/a.nii.gz": 1, "p5/a.nii.gz": 2}
    summary = run(config)
    assert (summary.done, summary.failed) == (9, 1)
    assert summary.failures == [("p5/a.nii.gz", "The process ended at p5/a.nii.gz.")]
    assert states(config)["p1/a.nii.gz"] == "done"
    table = (config.out / "cohort.csv").read_text().splitlines()
    assert table[6].startswith("p5/a.nii.gz,failed,The process ended at p5/a.nii.gz.,,")
    fake_executor.lost = {}
    assert run(config).done == 1  # failures are tried again by the next run


def test_failure_removes_old_labels(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    run(config)
    (config.root / "p1" / "a.nii.gz").write_bytes(b"broken")
    fake_executor.failing = {"p1/a.nii.gz"}
    summary = run(config)
    assert summary.failures == [("p1/a.nii.gz", "It is broken.")]
    assert list((config.out / "studies/p1/a.nii.gz").iterdir()) == []


def test_invalid_settings(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    none = config.root.parent / "none"
    none.mkdir()
    for changed, options, sentence in [
        (replace(config, root=none), {}, "No image for"),
        (replace(config, root=config.root / "missing"), {}, "There is no folder"),
        (replace(config, out=config.root), {}, "cannot be written to the folder of the images"),
        (replace(config, out=config.root / "p1/a.nii.gz"), {}, "is a file"),
        (replace(config, suffix=".png"), {}, r"choose \.nii\.gz"),
        (config, {"workers": 0}, "not 0"),
        (config, {"workers": 1, "scheduler": "tcp://x"}, "either workers or a scheduler"),
    ]:
        with pytest.raises(FlomoError, match=sentence):
            run(changed, **options)
    assert not config.out.exists()
    assert fake_executor.done == []


def test_without_dask(
    config: CohortConfig, fake_executor: FakeExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda _: None)
    for options in ({}, {"workers": 2}, {"scheduler": "tcp://x"}):
        with pytest.raises(FlomoError, match=r"pip install 'napari-flomo\[cohort\]'"):
            run(config, **{"workers": None} | options)
    assert run(config).done == 10


def test_results_inside_the_images(config: CohortConfig, fake_executor: FakeExecutor) -> None:
    inside = replace(config, out=config.root / "results")
    assert run(inside).found == 10
    assert run(inside).kept == 10


def test_without_paths(tmp_path: Path) -> None:
    config = CohortConfig(tmp_path / "in", tmp_path / "out")
    reported = f"The folder {tmp_path}/in/p1 and {tmp_path}/out/studies/x; {tmp_path}/in itself."
    assert without_paths(reported, config) == "The folder p1 and studies/x; . itself."
    assert without_paths("a/b", CohortConfig(Path("/"), tmp_path)) == "a/b"


def test_remove_temporary_files(tmp_path: Path) -> None:
    (tmp_path / ".flomo-0123.nii.gz").touch()
    (tmp_path / "labels.nii.gz").touch()
    remove_temporary_files(tmp_path)
    remove_temporary_files(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.nii.gz"]
