"""Jobs in a real child process: results, progress, cancel and crashes."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import Busy, Job, JobFailed, Progress, State, Worker, python_spawner

TIMEOUT_SECONDS = 60


def wait_until(condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def running(worker: Worker, task: str, **arguments: object) -> Job:
    """Submit a task and wait until the child is at it."""
    job = worker.submit(task, arguments)
    wait_until(lambda: job.progress.total)
    return job


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_returns_what_the_task_returns(worker, temporary):
    job = worker.submit("echo", {"text": "Größe", "numbers": [1, 2.5, None]})
    assert job.result(TIMEOUT_SECONDS) == {"text": "Größe", "numbers": [1, 2.5, None]}
    assert job.state is State.DONE
    assert worker.job is None
    assert names(temporary) == []


def test_files_go_in_and_out_and_are_removed(worker, temporary):
    def pack(folder):
        (folder / "in.txt").write_text("heart")

    def unpack(folder, result):
        return (folder / "out.txt").read_text(), result

    job = worker.submit("copy", pack=pack, unpack=unpack)
    assert job.result(TIMEOUT_SECONDS) == ("HEART", {"length": 2})
    assert names(temporary) == []


def test_the_child_stays_warm_and_prints_do_not_disturb(worker):
    first = worker.submit("noise").result(TIMEOUT_SECONDS)
    assert worker.submit("noise").result(TIMEOUT_SECONDS) == first


def test_progress_with_time_left(worker):
    seen = []
    job = worker.submit("count", {"steps": 5, "pause": 0.06})
    job.on_progress(seen.append)
    job.result(TIMEOUT_SECONDS)
    counted = [step for step in seen if step.total]
    assert counted[-1] == Progress(5, 5, "Counting", 0.0)
    assert [step.done for step in counted] == sorted({step.done for step in counted})
    assert counted[0].seconds_left is None
    assert all(step.seconds_left > 0 for step in counted[1:-1])


def test_every_point_of_a_curve_arrives(worker):
    seen = []
    job = worker.submit("curve", {"points": 40})
    job.on_progress(seen.append)
    job.result(TIMEOUT_SECONDS)
    points = [dict(step.data) for step in seen if step.data is not None]
    assert points == [{"step": step, "loss": 1 / (1 + step)} for step in range(40)]


def test_callbacks_come_from_another_thread_and_may_submit(worker):
    threads = []
    following = []

    def ended(job):
        threads.append(threading.current_thread())
        following.append(worker.submit("echo", {"after": job.id}))
        raise RuntimeError("a host's fault is the host's")

    job = worker.submit("echo")
    job.on_end(ended)
    wait_until(lambda: following)
    assert threads[0] is not threading.current_thread()
    assert following[0].result(TIMEOUT_SECONDS) == {"after": job.id}
    late = []
    job.on_end(late.append)  # it has ended: called immediately
    assert late == [job]


def test_one_job_at_a_time(worker):
    job = running(worker, "count", steps=1000)
    with pytest.raises(Busy, match="wait until it is done, or cancel it first"):
        worker.submit("echo")
    job.cancel()
    job.wait(TIMEOUT_SECONDS)
    assert worker.submit("echo").result(TIMEOUT_SECONDS) == {}


def test_cancel_keeps_the_child_warm(make_worker):
    worker = make_worker(cancel_grace=30)
    before = worker.submit("noise").result(TIMEOUT_SECONDS)
    job = running(worker, "count", steps=1000)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(TIMEOUT_SECONDS)
    assert worker.submit("noise").result(TIMEOUT_SECONDS) == before


def test_an_unresponsive_child_is_cancelled_in_a_second(worker, temporary):
    job = running(worker, "deaf")
    start = time.monotonic()
    job.cancel()
    job.cancel()  # an impatient user
    assert job.wait(TIMEOUT_SECONDS)
    assert time.monotonic() - start < 1.0
    assert job.state is State.CANCELLED
    wait_until(lambda: names(temporary) == [])
    assert worker.submit("echo", {"again": 1}).result(TIMEOUT_SECONDS) == {"again": 1}


def test_cancel_before_the_child_has_started(worker, temporary):
    job = worker.submit("echo")
    start = time.monotonic()
    job.cancel()
    assert job.wait(TIMEOUT_SECONDS)
    assert time.monotonic() - start < 1.0
    assert job.state is State.CANCELLED
    assert worker.submit("echo", {"next": 1}).result(TIMEOUT_SECONDS) == {"next": 1}
    wait_until(lambda: names(temporary) == [])


def test_cancel_while_packing_and_unpacking(worker, temporary):
    go = threading.Event()

    def slow(folder, *_):
        go.wait(5)
        (folder / "late.npy").write_text("late")

    for options in ({"pack": slow}, {"unpack": slow}):
        job = worker.submit("echo", **options)
        time.sleep(0.3)
        job.cancel()
        assert job.wait(2)
        assert job.state is State.CANCELLED
    go.set()
    wait_until(lambda: names(temporary) == [])


def test_results_are_freed(worker):
    """Images and masks are large; a worker that is idle keeps none of them."""

    class Large:
        pass

    large = Large()
    reference = weakref.ref(large)
    job = worker.submit("echo", unpack=lambda *_, kept=large: kept)
    assert job.result(TIMEOUT_SECONDS) is large
    del job, large
    wait_until(lambda: gc.collect() >= 0 and reference() is None, 5)


@pytest.mark.parametrize(
    ("kind", "problem", "sentence"),
    [
        ("flomo", "flomo", "Do this instead."),
        ("bug", "bug", "Unexpected KeyError; please report the details"),
        ("memory", "flomo", "Not enough memory; close other programs"),
        ("gpu", "out_of_gpu_memory", "choose the device cpu"),
    ],
)
def test_failures_have_a_kind(worker, kind, problem, sentence):
    job = worker.submit("fail", {"kind": kind})
    with pytest.raises(JobFailed, match=sentence) as caught:
        job.result(TIMEOUT_SECONDS)
    assert caught.value.problem.kind == problem
    assert "Traceback" in caught.value.problem.details
    assert worker.submit("echo").result(TIMEOUT_SECONDS) == {}  # the child still runs


def test_an_unknown_task_and_arguments_that_are_not_json(worker):
    with pytest.raises(JobFailed, match="does not know the task 'dance'"):
        worker.submit("dance").result(TIMEOUT_SECONDS)
    with pytest.raises(JobFailed, match="Unexpected TypeError"):
        worker.submit("echo", {"path": Path()}).result(TIMEOUT_SECONDS)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_child_is_reported_and_replaced(worker, temporary):
    pid = worker.submit("noise").result(TIMEOUT_SECONDS)["pid"]
    job = running(worker, "deaf")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(JobFailed, match="most likely because memory ran out") as caught:
        job.result(TIMEOUT_SECONDS)
    assert caught.value.problem.kind == "died"
    assert worker.submit("noise").result(TIMEOUT_SECONDS)["pid"] != pid
    wait_until(lambda: names(temporary) == [])


def test_the_stderr_of_a_child_that_ended_is_reported(worker):
    job = worker.submit("die", {"code": 3})
    with pytest.raises(JobFailed, match="ended unexpectedly with exit code 3"):
        job.result(TIMEOUT_SECONDS)
    assert job.problem.details.endswith("last words\n")


def test_a_child_that_cannot_start(temporary):
    with Worker(python_spawner("/no/such/python")) as worker:
        for _ in range(2):
            with pytest.raises(JobFailed, match="No such file"):
                worker.submit("echo").result(TIMEOUT_SECONDS)
    assert names(temporary) == []


def test_a_closed_worker(worker, temporary):
    job = running(worker, "count", steps=1000)
    worker.close()
    assert job.wait(1)
    assert job.state is State.CANCELLED
    with pytest.raises(FlomoError, match="closed"):
        worker.submit("echo")
    wait_until(lambda: names(temporary) == [])


def is_alive(pid: int) -> bool:
    """Return True if a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("task", ["count", "deaf"])
def test_the_child_of_a_killed_host_ends_and_cleans_up(temporary, task):
    """After kill -9 of the host, the child notices the end of its stdin."""
    child = str(Path(__file__).with_name("tiny_child.py"))
    host = (
        "import sys, tempfile, time\n"
        f"tempfile.tempdir = {str(temporary)!r}\n"
        "from napari_flomo.jobs import Worker, python_spawner\n"
        f"worker = Worker(python_spawner(arguments=[{child!r}]))\n"
        "print(worker.submit('noise').result(60)['pid'], flush=True)\n"
        f"job = worker.submit({task!r}, {{'steps': 10**6}})\n"
        "while not job.progress.total: time.sleep(0.01)\n"
        "print('running', flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", host], stdout=subprocess.PIPE, text=True, env=environment
    )
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "running\n"
    assert len(names(temporary)) == 1
    process.kill()
    process.wait(TIMEOUT_SECONDS)
    process.stdout.close()
    wait_until(lambda: not is_alive(pid), 20)
    assert names(temporary) == []


def test_the_protocol_on_the_pipe(run_python):
    """What another host, in any language, would write and read."""
    asked = ['{"id": 1, "task": "dance", "folder": "."}', "not json", '{"from": "the future"}']
    done = run_python("-m", "napari_flomo", "worker", input="\n".join(asked) + "\n")
    assert done.returncode == 0, done.stderr
    started, failed = map(json.loads, done.stdout.splitlines())
    assert started == {"id": 1, "kind": "started"}
    assert failed["kind"] == "failed"
    assert failed["problem"] == "flomo"
