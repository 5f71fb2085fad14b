"""A session whose worker is quick, and hearts to segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.session import Event, Session
from napari_flomo.volumes import Volume

CHILD = Path(__file__).with_name("tiny_child.py")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One warm child for a module; every session of it ends idle."""
    with Worker(python_spawner(arguments=[str(CHILD)])) as worker:
        yield worker


@pytest.fixture
def session(worker: Worker) -> Iterator[Session]:
    """A session that takes results in at once."""
    session = Session(worker)
    yield session
    if session.running is not None:
        session.running.cancel()
        worker.job and worker.job.wait(10)


@pytest.fixture
def events(session: Session) -> list[Event]:
    """All that the session tells, from now on."""
    told: list[Event] = []
    session.subscribe(told.append)
    return told


@pytest.fixture
def make_cine(make_heart: Callable[..., Volume]) -> Callable[..., Volume]:
    """Make a heart whose cavity is largest in frame 1 and smallest in frame 2."""

    def make() -> Volume:
        row, column = np.mgrid[:48, :48]
        radius = np.hypot(row - 24, column - 24)
        cavity = np.array([10, 12, 6])[:, None, None, None]
        image = 60 + 40 * (radius < 15) + 120 * (radius < cavity)
        stack = make_heart(slices=1)
        data = np.repeat(image.astype(np.int16), 3, axis=1)
        return Volume(data, stack.geometry, ("frames", "slices", "rows", "columns"), modality="MR")

    return make
