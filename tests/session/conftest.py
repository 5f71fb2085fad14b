"""A session whose worker is quick, and hearts to segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.session import Event, Session

CHILD = Path(__file__).with_name("tiny_child.py")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One warm child for a module; every session of it ends idle."""
    with Worker(python_spawner(arguments=[str(CHILD)])) as worker:
        yield worker


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep journals and preferences of the tests away from those of the user."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def session(worker: Worker) -> Iterator[Session]:
    """A session that merges results immediately."""
    session = Session(worker)
    yield session
    if session.running is not None:
        session.running.cancel()
        worker.job and worker.job.wait(10)
    for image in session.images:
        session.labels_removed(image.key)


@pytest.fixture
def paint() -> Callable[..., None]:
    """Change voxels of an image as a viewer does."""

    def paint(session: Session, key: str, where: Any, code: int) -> None:
        labels = session.image(key).labels.data
        painted = np.zeros(labels.shape, bool)
        painted[where] = True
        indices = np.flatnonzero(painted)
        session.edit(key, indices, labels.flat[indices], np.full(indices.size, code))

    return paint


@pytest.fixture
def events(session: Session) -> list[Event]:
    """All events of the session from now on."""
    received: list[Event] = []
    session.subscribe(received.append)
    return received
