"""A detached process: it outlives its parent, reports in a file, and can be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import (
    JobFailed,
    State,
    StatusWriter,
    attach,
    running,
    start,
)
from napari_flomo.jobs.child import environment
from napari_flomo.jobs.detached import CANCEL, PROCESS, PROGRESS
from napari_flomo.jobs.process_start import started_at

TIMEOUT_SECONDS = 60
PROGRAM = Path(__file__).with_name("tiny_program.py")


def wait_until(condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def launch(tmp_path):
    """Start the tiny program in place of ours."""
    folder = tmp_path / "run"

    def launch(*arguments):
        return start([str(folder), *arguments], folder, program=[str(PROGRAM)])

    yield launch
    number = running(folder)
    if number is not None:
        os.kill(number, signal.SIGKILL)


def test_progress_points_and_result(launch, tmp_path):
    job = launch("count", "5")
    seen = []
    job.on_progress(seen.append)
    assert job.result(TIMEOUT_SECONDS) == {"counted": 5}
    assert job.state is State.DONE
    assert [dict(one.data) for one in seen if one.data is not None] == [
        {"step": step} for step in range(1, 6)
    ]
    assert seen[-1].message == "Counting"
    assert running(tmp_path / "run") is None
    assert not (tmp_path / "run" / PROCESS).exists()


def test_attach_reports_all_progress_again(launch, tmp_path):
    launch("count", "4").result(TIMEOUT_SECONDS)
    late = attach(tmp_path / "run")
    points = []
    late.on_progress(lambda one: points.append(one.data))
    assert late.result(TIMEOUT_SECONDS) == {"counted": 4}
    assert attach(tmp_path / "nothing") is None


def test_it_outlives_a_killed_parent(tmp_path):
    folder = tmp_path / "run"
    program = (
        "import sys, time; from pathlib import Path; from napari_flomo.jobs import start;"
        "start([sys.argv[2], 'count', '8', '0.15'], Path(sys.argv[2]), program=[sys.argv[1]]);"
        "print('started', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(PROGRAM), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as viewer:
        assert viewer.stdout.readline().strip() == b"started"
        viewer.kill()
    job = attach(folder)
    assert job.result(TIMEOUT_SECONDS) == {"counted": 8}


def test_cancel_by_the_process_itself(launch, tmp_path):
    job = launch("count", "10000", "0.02")
    wait_until(lambda: job.progress.total)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(TIMEOUT_SECONDS)
    assert running(tmp_path / "run") is None
    assert not (tmp_path / "run" / CANCEL).exists()
    assert last_words(tmp_path / "run") == "cancelled"


def test_an_unresponsive_process_is_killed(launch, tmp_path):
    job = launch("deaf")
    wait_until(lambda: job.progress.total)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(TIMEOUT_SECONDS)
    assert running(tmp_path / "run") is None


def test_a_killed_process_is_resumed(launch, tmp_path):
    folder = tmp_path / "run"
    job = launch("deaf")
    wait_until(lambda: job.progress.total)
    number = running(folder)
    os.kill(number, signal.SIGKILL)
    with pytest.raises(JobFailed, match="interrupted") as failure:
        job.result(TIMEOUT_SECONDS)
    assert failure.value.problem.kind == "died"
    assert "last words" in failure.value.problem.details
    with (folder / PROGRESS).open("ab") as file:
        file.write(b'{"kind": "resu')  # half a line
    later = attach(folder)
    with pytest.raises(JobFailed, match="interrupted"):
        later.result(TIMEOUT_SECONDS)
    assert launch("count", "2").result(TIMEOUT_SECONDS) == {"counted": 2}


def test_a_failure_is_one_sentence(launch):
    with pytest.raises(JobFailed, match="Do this instead") as failure:
        launch("fail").result(TIMEOUT_SECONDS)
    assert failure.value.problem.kind == "flomo"


def test_one_program_in_a_folder(launch, tmp_path):
    job = launch("count", "10000", "0.02")
    wait_until(lambda: job.progress.total)
    with pytest.raises(FlomoError, match="Another process is working"):
        launch("count", "1")
    with pytest.raises(FlomoError, match="Another process is working"):
        StatusWriter(tmp_path / "run").__enter__()
    job.cancel()
    job.wait(TIMEOUT_SECONDS)


def test_a_reused_process_id_is_not_trusted(tmp_path):
    """Another process has it now: this test itself."""
    process = {"pid": os.getpid(), "started": "an earlier time"}
    (tmp_path / PROCESS).write_text(json.dumps(process))
    assert running(tmp_path) is None
    (tmp_path / PROCESS).write_text(json.dumps(process | {"started": started_at(os.getpid())}))
    assert running(tmp_path) == os.getpid()
    for text in ("", "[]", '{"pid": "x"}'):
        (tmp_path / PROCESS).write_text(text)
        assert running(tmp_path) is None


def test_started_at():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = started_at(child.pid)
    assert began is not None
    assert began == started_at(child.pid)
    child.stdin.close()
    wait_until(lambda: started_at(child.pid) is None)  # a zombie has ended
    child.wait()
    assert started_at(2**22 + 1) is None


def last_words(folder: Path) -> str:
    lines = [json.loads(line) for line in (folder / PROGRESS).read_text().split("\n") if line]
    return str(lines[-1]["kind"])
