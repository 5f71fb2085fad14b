"""A session whose worker is quick, and hearts to segment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.models import info
from napari_flomo.session import Event, Session
from napari_flomo.volumes import Volume

CHILD = Path(__file__).with_name("tiny_child.py")
TRAINING = Path(__file__).with_name("fake_training.py")


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


@pytest.fixture
def trainer(tmp_path: Path) -> str:
    """A program in the place of Python that learns nothing, quickly; see `fake_training`."""
    if sys.platform == "win32":
        pytest.skip("the stand-in for Python is a shell script")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{TRAINING}" "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def corrections(tmp_path: Path, make_heart: Callable[..., Volume]) -> CorrectionStore:
    """A store of two patients with five accepted slices of the bundled model's structures."""
    return fill_store(tmp_path / "home" / "corrections", make_heart)


def fill_store(folder: Path, make_heart: Callable[..., Volume], seeds: int = 2) -> CorrectionStore:
    """Make a store in which a reader accepted slices of some hearts."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    store = CorrectionStore.open(folder, create=True)
    _state, card = info(DEFAULT_MODEL)
    codes = {label.code: label.name for label in card.labels if label.code}
    for seed in range(seeds):
        image = make_heart(slices=4, seed=seed)
        labels = image.with_data((image.data > 150).astype(np.uint8))
        seen = [(0, number) for number in range(2 + seed % 2)]
        state = {"seen": seen, "state": "accepted", "proposed": labels}
        store.add(Correction(image, labels, codes, **state))
    return store
