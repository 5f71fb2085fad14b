"""A worker whose network is a threshold: no torch, but the real process and the real files."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from napari_flomo import cli
from napari_flomo.errors import Cancelled, MissingModel, NothingLearnt
from napari_flomo.jobs import CORRECTIONS, tasks
from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing
from napari_flomo.progress import Progress
from napari_flomo.segmentation import Segmentation
from napari_flomo.segmentation.exchange import pack_segmentation, unpack_volume

CARD = ModelCard(
    name="toy",
    network="flomo-b0",
    network_arguments={},
    in_channels=1,
    input_kind="stack",
    labels=(
        Label(0, "background", "#000000"),
        Label(2, "left ventricular myocardium", "#00ff00"),
        Label(3, "left ventricle", "#ff0000"),
    ),
    preprocessing=Preprocessing(None, None, IntensityRule("percentile", 0, 100)),
    activation="softmax",
    licence="CC0-1.0",
    training_data="none",
    sha256="0" * 64,
)
SWAPPED = replace(
    CARD,
    name="swapped",
    labels=(CARD.labels[0], replace(CARD.labels[2], code=2), replace(CARD.labels[1], code=3)),
)
HEART = replace(CARD, name="heart", labels=(*CARD.labels, Label(1, "right ventricle", "#0000ff")))


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


def segment(arguments, context):
    volume = unpack_volume(context.folder, arguments["volume"])
    assert volume.source == "", "the name of an image stays with the host"
    model = arguments["model"]
    if model == "gone":
        raise MissingModel("There is no such model.")
    if model == "gpu" and arguments["device"] != "cpu":
        raise OutOfMemoryError("CUDA out of memory")
    card = {"swapped": SWAPPED, "heart": HEART}.get(model, CARD)
    frames = arguments["frames"] or range(volume.n_frames)
    slices = arguments["slices"] or range(volume.n_slices)
    data = volume.data.reshape(volume.n_frames, *volume.spatial_shape)
    labels = np.zeros(data.shape, np.uint8)
    scores = np.full(data.shape[:2], np.nan, np.float32)
    total, done = len(frames) * len(slices), 0
    context.progress(Progress(0, total))
    for frame in frames:
        for number in slices:
            if context.cancelled():
                raise Cancelled
            if model == "slow":
                time.sleep(0.1)
            pixels = data[frame, number]
            labels[frame, number] = np.where(pixels > 150, 3, np.where(pixels > 80, 2, 0))
            if card is HEART:
                labels[frame, number][pixels < 0] = 1
            scores[frame, number] = (labels[frame, number] > 0).sum()
            done += 1
            context.progress(Progress(done, total))
    on_grid = volume.with_data(labels if volume.data.ndim == 4 else labels[0])
    entropy = on_grid.with_data((on_grid.data > 0).astype(np.float32))
    maps = {"entropy": entropy}
    for name in arguments.get("maps") or ():
        maps[name] = entropy if name == "entropy" else on_grid.with_data(entropy.data / 2)
    views = "mirrored" if arguments.get("mirrored") else "plain"
    manifest = {"model": {"name": card.name}, "views": views}
    result = Segmentation(on_grid, None, maps, scores, manifest, card)
    return pack_segmentation(context.folder, result)


def learn_study(arguments, context):
    """Suggest the myocardium everywhere, if the corrected slices hold a ventricle."""
    labels = unpack_volume(context.folder / CORRECTIONS, arguments["labels"])
    drawn = [labels.frame(frame).data[number] for frame, number in arguments["corrected"]]
    if not any((one == 3).any() for one in drawn):
        raise NothingLearnt("Nothing was learnt.")
    result = segment({**arguments, "slices": None}, context)
    every = np.load(context.folder / "labels.npy")
    np.save(context.folder / "labels.npy", np.where(every > 0, 2, every).astype(every.dtype))
    return result


def readiness(arguments, _context):
    return {"ready": True, "sentence": f"Ready to teach {arguments['base']}.", "skipped": []}


if __name__ == "__main__":
    tasks.TASKS["segment"] = segment
    tasks.TASKS["readiness"] = readiness
    tasks.TASKS["learn_study"] = learn_study
    sys.exit(cli.main(["worker"]))
