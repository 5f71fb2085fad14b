"""A session downloads a model in the worker's process; cancelling ends the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.errors import Cancelled
from napari_flomo.jobs import JobFailed, Progress
from napari_flomo.session import RunProgressed, Session

WEIGHTS = bytes(range(256)) * 40_000  # 10 MB of nothing
PATIENT = 120


@pytest.fixture
def session(hub: Any) -> Iterator[Session]:
    """A session whose worker uses the local Hub and an empty cache."""
    session = Session()
    yield session
    session.close()


@pytest.fixture
def published(publish: Callable[..., str]) -> str:
    """A model on the Hub."""
    publish("team/heart", WEIGHTS)
    return "hf:team/heart"


def test_pull(session: Session, published: str) -> None:
    seen: list[Progress] = []
    session.subscribe(
        lambda event: seen.append(event.progress) if isinstance(event, RunProgressed) else None
    )
    run = session.pull(published)
    folder = Path(run.result(PATIENT))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert seen[-1].done == seen[-1].total == len(WEIGHTS)
    assert seen[-1].message == "Downloading the model"
    with pytest.raises(JobFailed, match="team/nothing") as caught:
        session.pull("hf:team/nothing").result(PATIENT)
    assert caught.value.problem.kind == "flomo"


def test_cancel_a_stalled_download(hub: Any, session: Session, published: str) -> None:
    with pytest.raises(JobFailed):  # the child is warm then
        session.pull("hf:team/nothing").result(PATIENT)
    hub.faults.stall_after = 200_000
    run = session.pull(published)
    end = time.monotonic() + PATIENT
    while not hub.requests("GET", "/storage/"):
        assert time.monotonic() < end
        time.sleep(0.01)
    start = time.monotonic()
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(PATIENT)
    assert time.monotonic() - start < 1.0
