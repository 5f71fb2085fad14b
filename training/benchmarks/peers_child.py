"""Run one model of `peers.py` in a separate process and environment.

    python peers_child.py SUBJECT THREADS FOLDER

``FOLDER`` contains ``volumes.json``, a list of names, and for each name ``NAME.npy``, an image with
the axes columns, rows, slices as in nibabel, with its spacing in mm in ``NAME.json``. Labels are
written to ``NAME-SUBJECT.npy`` with the same axes. Prints one JSON object: seconds of each volume
and peak resident memory. Nothing of this project is imported for another project's model.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Segment = Callable[[np.ndarray, list[float]], np.ndarray]


def myopari() -> Segment:
    """Return the ACDC network of the napari plugin myopari with its CPU setting, as published."""
    import onnxruntime

    # Its import searches for CUDA libraries, which a CPU installation does not have.
    onnxruntime.preload_dlls = lambda *_args, **_keys: None
    # The package itself imports its widgets, which need napari; its processor does not.
    spec = importlib.util.find_spec("myopari")
    assert spec is not None
    sys.modules["myopari"] = importlib.util.module_from_spec(spec)
    processor = importlib.import_module("myopari.processors.SEGProcessor")

    module = processor.SEG_module()
    module.model_name = processor.SegModel.TIRAMISU_ACDC.value
    module.edge_device = processor.EdgeDevice.RASBERRY_PI.value
    return lambda image, _steps: module.segment(image)


def flomo(model: str, engine: str, *, mirrored: bool = False) -> Segment:
    """Return a model of this project on one of its engines."""
    import torch

    from napari_flomo.segmentation import Segmenter
    from napari_flomo.volumes import Volume

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    segmenter = Segmenter.from_pretrained(model, "cpu", engine)

    def segment(image: np.ndarray, steps: list[float]) -> np.ndarray:
        volume = Volume.from_array(np.ascontiguousarray(image.T), steps[::-1], modality="MR")
        result = segmenter.segment(volume, keep_probabilities=False, mirrored=mirrored)
        labels: np.ndarray = result.labels.data.T
        return labels

    return segment


def subject_of(name: str) -> Segment:
    """Return the subject of a name: ``myopari``, or ``MODEL:ENGINE`` with ``:mirrored`` or not."""
    if name == "myopari":
        return myopari()
    model, engine, *views = name.split(":")
    return flomo(model, engine, mirrored=views == ["mirrored"])


def main() -> None:
    """Segment all volumes after a warm-up with the first one."""
    name, threads, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    os.environ["OMP_NUM_THREADS"] = threads
    segment = subject_of(name)
    names: list[str] = json.loads((folder / "volumes.json").read_text(encoding="utf-8"))
    result: dict[str, Any] = {"seconds": {}}
    for number, volume in enumerate([names[0], *names]):
        image = np.load(folder / f"{volume}.npy")
        steps = json.loads((folder / f"{volume}.json").read_text(encoding="utf-8"))
        start = time.perf_counter()
        labels = segment(image, steps)
        if number:
            result["seconds"][volume] = time.perf_counter() - start
            np.save(folder / f"{volume}-{name.replace(':', '-')}.npy", labels.astype(np.uint8))
    unit = 1 if sys.platform == "darwin" else 1024
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(json.dumps(result))


if __name__ == "__main__":
    main()
