"""A worker looks for a faster engine while nobody waits, and serves whoever comes meanwhile."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_flomo.commands import tasks, worker
from napari_flomo.segmentation import Segmenter


class Blocked:
    """Stands for the search, which goes on until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.go.wait(30)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocked]:
    blocked = Blocked()
    monkeypatch.setattr(tasks, "settle", blocked)
    # The thread's priority cannot be raised again, and here it is not the worker's own.
    monkeypatch.setattr(worker.os, "setpriority", lambda *_: None, raising=False)
    yield blocked
    blocked.go.set()


def test_one_search_at_a_time(search: Blocked) -> None:
    server = worker._Server(io.BytesIO(), io.BytesIO())
    assert not server.settling
    server._settle()
    server._settle()
    assert server.settling
    search.go.set()
    server._settler.join(30)
    assert not server.settling
    assert search.calls == 1
    server._settle()
    server._settler.join(30)
    assert search.calls == 2


def test_not_while_somebody_waits(search: Blocked) -> None:
    server = worker._Server(io.BytesIO(), io.BytesIO())
    server._waiting.put({"task": "segment", "id": 1})
    server._settle()
    assert not server.settling
    assert search.calls == 0


def test_a_failure_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(tasks, "settle", fail)
    monkeypatch.setattr(worker.os, "setpriority", lambda *_: None, raising=False)
    worker._settle_quietly()


def test_it_is_for_the_model_used_last(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    asked: list[Segmenter] = []

    def settle(self: Segmenter) -> None:
        asked.append(self)

    monkeypatch.setattr(Segmenter, "find_fastest_engine", settle)
    models = tasks.WarmModels()
    models.settle()
    assert asked == []
    segmenter = models.get(model, "cpu")
    models.settle()
    assert asked == [segmenter]
