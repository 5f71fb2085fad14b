"""A worker whose child knows tiny tasks, so that a test need not load torch."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from napari_flomo.jobs import Worker, python_spawner

PROGRAM = Path(__file__).with_name("tiny_child.py")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the folders of jobs are made; every test looks that none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def make_worker(temporary):
    """Make a worker with tiny tasks."""
    made = []

    def make(cancel_grace=0.7):
        made.append(Worker(python_spawner(arguments=[str(PROGRAM)]), cancel_grace))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def worker(make_worker):
    """A worker with tiny tasks."""
    return make_worker()
