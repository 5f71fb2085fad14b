"""A worker makes the graphs that models lack while it is idle."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_flomo.jobs import tasks, worker_main
from napari_flomo.segmentation import Segmenter


class Blocked:
    """A search that blocks until it is released."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.go.wait(30)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocked]:
    blocked = Blocked()
    monkeypatch.setattr(tasks, "prepare_graphs", blocked)
    # The thread's priority cannot be raised again, and here it is not the worker's own.
    monkeypatch.setattr(worker_main.os, "setpriority", lambda *_: None, raising=False)
    yield blocked
    blocked.go.set()


def test_one_search_at_a_time(search: Blocked) -> None:
    server = worker_main._Server(io.BytesIO(), io.BytesIO())
    assert not server.tuning
    server._tune()
    server._tune()
    assert server.tuning
    search.go.set()
    server._tuner.join(30)
    assert not server.tuning
    assert search.calls == 1
    server._tune()
    server._tuner.join(30)
    assert search.calls == 2


def test_no_search_while_requests_wait(search: Blocked) -> None:
    server = worker_main._Server(io.BytesIO(), io.BytesIO())
    server._requests.put({"task": "segment", "id": 1})
    server._tune()
    assert not server.tuning
    assert search.calls == 0


def test_failing_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(tasks, "prepare_graphs", fail)
    monkeypatch.setattr(worker_main.os, "setpriority", lambda *_: None, raising=False)
    worker_main._prepare_graphs()


def test_search_is_for_the_last_model(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    asked: list[Segmenter] = []

    def note(self: Segmenter) -> None:
        asked.append(self)

    monkeypatch.setattr(Segmenter, "prepare_graphs", note)
    models = tasks.WarmModels()
    models.prepare_graphs()
    assert asked == []
    segmenter = models.get(model, "cpu")
    models.prepare_graphs()
    assert asked == [segmenter]
