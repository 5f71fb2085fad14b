"""A program that is followed through its folder, with tiny work in place of ours."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import StatusWriter
from napari_flomo.progress import Progress

folder, work, *numbers = sys.argv[1:]
with StatusWriter(Path(folder)) as status:
    if work == "count":
        steps, pause = int(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.0
        for step in range(1, steps + 1):
            if status.cancelled():
                raise Cancelled
            status.progress(Progress(step, steps, "Counting", data={"step": step}))
            time.sleep(pause)
        status.finish({"counted": steps})
    elif work == "deaf":
        print("last words", flush=True)
        status.progress(Progress(1, 2))
        time.sleep(60)
    else:
        raise FlomoError("Do this instead.")
