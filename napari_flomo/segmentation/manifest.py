"""The manifest of a run, which explains how a result was made."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np

import napari_flomo
from napari_flomo.models import ModelCard
from napari_flomo.segmentation.device import is_gpu
from napari_flomo.segmentation.maps import DRAWS, DRAWS_SEED, MAPS
from napari_flomo.segmentation.threads import threads
from napari_flomo.volumes import AXIS_NAMES, Volume


class StageTimer:
    """Measures the seconds of each stage, summed over its calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the duration of the block to a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start

    def report(self) -> dict[str, float]:
        """Return the seconds of every stage, and in total since creation."""
        total = perf_counter() - self._start
        return {name: round(s, 4) for name, s in (*self.seconds.items(), ("total", total))}


def run_manifest(
    volume: Volume,
    card: ModelCard,
    device: str,
    *,
    engine: Mapping[str, Any],
    frames: Sequence[int],
    slices: Sequence[int],
    batch: int,
    maps: Sequence[str],
    mirrored: bool,
    postprocessed: bool,
    stopwatch: StageTimer,
) -> dict[str, Any]:
    """Describe a finished run in plain JSON types.

    Contains no paths, file names and patient data, so that it can accompany anonymised results.
    ``engine`` is from `EngineRunner.report`, ``frames`` and ``slices`` are the indices that were
    segmented, ``batch`` the slices per pass.
    """
    drawn = any(name in MAPS and MAPS[name].over == "draws" for name in maps)
    torch = sys.modules.get("torch")  # an engine that needs it has imported it
    gpu = {"gpu": torch.cuda.get_device_name(device)} if torch and is_gpu(device) else {}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "napari_flomo": napari_flomo.__version__,
            **({"torch": torch.__version__} if torch else {}),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "model": {"name": card.name, "card_sha256": card.card_hash, "weights_sha256": card.sha256},
        "device": device,
        **gpu,
        "engine": dict(engine),
        "threads": threads(),
        "batch": batch,
        "input": {
            "axes": list(volume.axes),
            "shape": [int(length) for length in volume.data.shape],
            "dtype": str(volume.data.dtype),
            "spacing_mm": list(volume.geometry.spacing),
            "spacing_known": volume.geometry.spacing_known,
            "slice_axis": AXIS_NAMES[2 - volume.storage[0]],
            "modality": volume.modality,
            "notes": list(volume.notes),
        },
        "segmented": {"frames": list(frames), "slices": list(slices)},
        "skipped": {
            "frames": sorted(set(range(volume.n_frames)) - set(frames)),
            "slices": sorted(set(range(volume.n_slices)) - set(slices)),
        },
        "maps": list(maps),
        "views": "mirrored" if mirrored else "plain",
        **({"monte_carlo": {"passes": DRAWS, "seed": DRAWS_SEED}} if drawn else {}),
        "postprocessing": {"rule": card.postprocessing, "done": postprocessed},
        "seconds": stopwatch.report(),
    }
