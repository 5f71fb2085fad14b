"""The tasks of a worker, by name; runs in the child process."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import Cancelled, FlomoError, MissingModel, out_of_gpu_memory
from napari_flomo.jobs import CORRECTIONS, FinetuneConfig
from napari_flomo.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmenter

WARM_MODELS = 2
"""Models kept in memory: the current one, and one to compare with."""


@dataclass(frozen=True)
class Context:
    """Folder and callbacks of a task."""

    folder: Path
    """For arrays in and out; removed by the host."""
    progress: ProgressCallback
    cancelled: Callable[[], bool]
    """Whether the task should raise `Cancelled`; to be called several times a second."""


Task = Callable[[Mapping[str, Any], Context], Mapping[str, Any]]


class WarmModels:
    """A cache of the segmenters that were used last."""

    def __init__(self, limit: int = WARM_MODELS) -> None:
        self._limit = limit
        self._segmenters: OrderedDict[tuple[str, str], Segmenter] = OrderedDict()

    def get(self, folder: Path, device: str) -> Segmenter:
        """Return the segmenter of a model, from memory unless its card has changed."""
        from napari_flomo.models import load_card
        from napari_flomo.segmentation import Segmenter, choose_device

        chosen = choose_device(device)
        key = (load_card(folder).card_hash, chosen)
        if key not in self._segmenters:
            while len(self._segmenters) >= self._limit:
                self._segmenters.popitem(last=False)
            self._segmenters[key] = Segmenter.from_pretrained(folder, chosen)
        self._segmenters.move_to_end(key)
        return self._segmenters[key]

    def prepare_graphs(self) -> None:
        """Make the graph of the model that was used last, if it has none."""
        if self._segmenters:
            next(reversed(self._segmenters.values())).prepare_graphs()

    def clear(self) -> None:
        """Free the memory of all models, on the GPU too."""
        self._segmenters.clear()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


_warm_models = WarmModels()


def segment(arguments: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Segment a volume with the same `Segmenter` as the command line.

    Arguments: ``volume`` (from `pack_volume`), ``model`` (see `choose_model`), ``device``,
    ``slices``, ``frames`` (lists or null), ``maps`` (names, or null for entropy alone),
    ``mirrored``. Result: of `pack_segmentation`.
    """
    from napari_flomo.segmentation import (
        DEFAULT_MAPS,
        choose_model,
        pack_segmentation,
        unpack_volume,
    )

    volume = unpack_volume(context.folder, arguments["volume"])
    choice = choose_model(volume, arguments["model"])
    folder = _locate(choice.model, context)
    context.progress(Progress(message="Loading the model"))
    try:
        segmenter = _warm_models.get(folder, arguments.get("device", "auto"))
        if context.cancelled():
            raise Cancelled
        segmentation = segmenter.segment(
            volume,
            slices=arguments.get("slices"),
            frames=arguments.get("frames"),
            progress=context.progress,
            cancelled=context.cancelled,
            keep_probabilities=False,
            maps=DEFAULT_MAPS if arguments.get("maps") is None else arguments["maps"],
            mirrored=bool(arguments.get("mirrored")),
        )
    except Exception as error:
        if out_of_gpu_memory(error):
            _warm_models.clear()  # else the GPU stays full and the next attempt fails, too
        raise
    return pack_segmentation(context.folder, choice.noted(segmentation))


def learn_study(arguments: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Adapt a network to the corrected slices of a volume, and segment the volume again.

    Arguments: ``volume`` and, in the folder ``corrections``, ``labels`` (from `pack_volume`),
    ``corrected`` (frame and slice of each corrected slice), ``model`` and ``device``
    (as for `segment`), ``frames`` (a list or null). Result: of `pack_segmentation`. The adapted
    network is not kept.
    """
    from napari_flomo.segmentation import choose_model, pack_segmentation, unpack_volume

    finetuning = import_training("flomo_training.finetuning")
    volume = unpack_volume(context.folder, arguments["volume"])
    labels = unpack_volume(context.folder / CORRECTIONS, arguments["labels"])
    choice = choose_model(volume, arguments["model"])
    folder = _locate(choice.model, context)
    context.progress(Progress(message="Loading the model"))
    segmentation = finetuning.segment_again(
        _warm_models.get(folder, arguments.get("device", "auto")),
        volume,
        labels,
        [tuple(place) for place in arguments["corrected"]],
        arguments.get("frames"),
        progress=context.progress,
        cancelled=context.cancelled,
    )
    return pack_segmentation(context.folder, choice.noted(segmentation))


def pull(arguments: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Download ``model`` from the Hub; the result is its ``folder``."""
    from napari_flomo.models import pull as download

    return {"folder": str(download(arguments["model"], context.progress))}


def readiness(arguments: Mapping[str, Any], _context: Context) -> Mapping[str, Any]:
    """Return whether there are enough corrections to fine-tune a model.

    Arguments: those of `FinetuneConfig`. Result: ``ready``, ``have``, ``need``, ``groups``,
    ``sentence``, ``skipped`` and ``corrections``, a hash that changes with them.
    """
    finetuning = import_training("flomo_training.finetuning")
    found: Mapping[str, Any] = finetuning.check_readiness(FinetuneConfig(**arguments))
    return found


def import_training(name: str) -> Any:
    """Import a module of the training package, or say how to install it."""
    try:
        from flomo_training import cli
    except ImportError as error:
        raise FlomoError(
            "The training package is not installed; install it with: "
            "pip install 'napari-flomo[train]'."
        ) from error
    return cli.import_training(name)


def preload(model: str, device: str) -> None:
    """Load a model and its engine if it is on this computer."""
    from napari_flomo.models import info

    state, _card = info(model)
    if state.folder is not None:
        _warm_models.get(state.folder, device).warm_up()


def prepare_graphs() -> None:
    """Make the graph of the model that was used last, unless it has one."""
    _warm_models.prepare_graphs()


TASKS: dict[str, Task] = {
    "segment": segment,
    "learn_study": learn_study,
    "pull": pull,
    "readiness": readiness,
}


def _locate(model: str, context: Context) -> Path:
    """Return the folder of a model, downloaded first if it is not on this computer."""
    from napari_flomo.models import locate

    try:
        return locate(model, context.progress)
    except FlomoError as error:
        raise MissingModel(str(error)) from error
