"""A worker whose child knows tiny tasks, so that a test need not load torch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from napari_flomo.jobs import Worker, python_spawner

PROGRAM = Path(__file__).with_name("tiny_child.py")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders of jobs are made; every test looks that none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def make_worker(temporary: Path) -> Iterator[Callable[..., Worker]]:
    """Make a worker with tiny tasks."""
    made: list[Worker] = []

    def make(cancel_grace: float = 0.7) -> Worker:
        made.append(Worker(python_spawner(arguments=[str(PROGRAM)]), cancel_grace))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    """A worker with tiny tasks."""
    return make_worker()
