"""The child side of jobs with tiny tasks in place of the real ones; run as a program."""

from __future__ import annotations

import os
import sys
import time

from napari_flomo import cli
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import tasks
from napari_flomo.progress import Progress


class OutOfMemoryError(RuntimeError):
    pass


def echo(arguments, context):
    return dict(arguments)


def copy(arguments, context):
    (context.folder / "out.txt").write_text((context.folder / "in.txt").read_text().upper())
    return {"length": len(list(context.folder.iterdir()))}


def noise(arguments, context):
    print("a library prints")
    os.system("echo so does a program it starts")
    os.write(1, b"and C code")
    assert sys.stdin is None or not sys.stdin.buffer.read(1), "stdin belongs to the protocol"
    return {"pid": os.getpid()}


def count(arguments, context):
    for done in range(arguments["steps"] + 1):
        if context.cancelled():
            raise Cancelled
        context.progress(Progress(done, arguments["steps"], "Counting"))
        time.sleep(arguments.get("pause", 0.02))
    return {"pid": os.getpid()}


def curve(arguments, context):
    for step in range(arguments["points"]):  # far quicker than progress is reported
        point = {"step": step, "loss": 1 / (1 + step)}
        context.progress(Progress(step, arguments["points"], data=point))
    return {}


def deaf(arguments, context):
    context.progress(Progress(0, 1))
    (context.folder / "half.npy").write_bytes(b"x" * 1000)
    time.sleep(60)


def die(arguments, context):
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(arguments["code"])


def fail(arguments, context):
    kinds = {
        "flomo": FlomoError("Do this instead."),
        "bug": KeyError("x"),
        "memory": MemoryError(),
        "gpu": OutOfMemoryError("CUDA out of memory"),
    }
    raise kinds[arguments["kind"]]


tasks.TASKS.clear()
for task in (echo, copy, noise, count, curve, deaf, die, fail):
    tasks.TASKS[task.__name__] = task
sys.exit(cli.main(["worker"]))
