"""What a worker can do for a viewer, by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.commands.faults import MissingModel, out_of_gpu_memory
from napari_flomo.errors import Cancelled, FlomoError

if TYPE_CHECKING:
    from napari_flomo.jobs import Report
    from napari_flomo.segmentation import Segmenter

WARM_MODELS = 2
"""Networks kept in memory: the one in use, and the one it is compared with."""


@dataclass(frozen=True)
class Context:
    """What a task is given beside its arguments.

    Attributes
    ----------
    folder
        For arrays in and out; the host removes it.
    report
        Tells progress.
    cancelled
        Whether the task should raise `Cancelled`; to be asked several times a second.
    """

    folder: Path
    report: Report
    cancelled: Callable[[], bool]


Task = Callable[[Mapping[str, Any], Context], Mapping[str, Any]]


class WarmModels:
    """The segmenters that were used last, loaded and verified once."""

    def __init__(self, limit: int = WARM_MODELS) -> None:
        self._limit = limit
        self._segmenters: OrderedDict[tuple[str, str], Segmenter] = OrderedDict()

    def get(self, folder: Path, device: str) -> Segmenter:
        """Return the segmenter of a model, from memory where its card has not changed."""
        from napari_flomo.models import load_card
        from napari_flomo.segmentation import Segmenter, choose_device

        chosen = str(choose_device(device))
        key = (load_card(folder).card_hash, chosen)
        if key not in self._segmenters:
            while len(self._segmenters) >= self._limit:
                self._segmenters.popitem(last=False)
            self._segmenters[key] = Segmenter.from_pretrained(folder, chosen)
        self._segmenters.move_to_end(key)
        return self._segmenters[key]

    def settle(self) -> None:
        """Find the fastest engine for the model that was used last; for when nobody waits."""
        if self._segmenters:
            next(reversed(self._segmenters.values())).settle_engine()

    def forget(self) -> None:
        """Free the memory of all of them, on the GPU too."""
        import torch

        self._segmenters.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


_warm = WarmModels()


def segment(arguments: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Segment a volume with the very `Segmenter` of the command line.

    Arguments: ``volume`` (from `pack_volume`), ``model``, ``device``, ``slices``, ``frames`` (lists
    or null), ``maps`` (names, or null for entropy alone), ``mirrored``. Result: from
    `pack_segmentation`.
    """
    from napari_flomo.segmentation import DEFAULT_MAPS
    from napari_flomo.session.exchange import pack_segmentation, unpack_volume

    volume = unpack_volume(context.folder, arguments["volume"])
    folder = _fetched(arguments["model"], context)
    context.report(0, 0, message="Loading the model")
    try:
        segmenter = _warm.get(folder, arguments.get("device", "auto"))
        if context.cancelled():
            raise Cancelled
        segmentation = segmenter.segment(
            volume,
            slices=arguments.get("slices"),
            frames=arguments.get("frames"),
            progress=lambda done, total: context.report(done, total, message="Segmenting"),
            cancelled=context.cancelled,
            keep_probabilities=False,
            maps=DEFAULT_MAPS if arguments.get("maps") is None else arguments["maps"],
            mirrored=bool(arguments.get("mirrored")),
        )
    except Exception as error:
        if out_of_gpu_memory(error):
            _warm.forget()  # else the GPU stays full and the next try fails, too
        raise
    return pack_segmentation(context.folder, segmentation)


def pull(arguments: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Download ``model`` from the Hub; the result is its ``folder``."""
    from napari_flomo.models import pull as fetch

    folder = fetch(arguments["model"], _bytes_of(context))
    return {"folder": str(folder)}


def devices(_arguments: Mapping[str, Any], _context: Context) -> Mapping[str, Any]:
    """Look where a network can run.

    Result: ``auto``, the name of what "auto" takes, and ``devices``: ``name`` for `Segmenter` and
    ``title`` for people, the CPU first.
    """
    import os

    import torch

    from napari_flomo.segmentation import choose_device

    found = [{"name": "cpu", "title": f"CPU, {os.cpu_count()} cores"}]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            title = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
            found.append({"name": f"cuda:{index}", "title": title})
    return {"auto": str(choose_device("auto")), "devices": found}


def finetune(arguments: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Teach a model what readers corrected, and compare it with its parent.

    Arguments: ``store``, ``base`` (a name or folder), ``out``; ``replay``, ``reference``,
    ``settings`` (a YAML file), ``device`` and ``resume`` may be left out. The data of its progress
    are points of the curves: ``step``, ``loss`` and ``dice`` (of held-out slices; either may be
    null). Result: of `flomo_training.finetuning.Learnt.as_dict`.
    """
    finetuning = import_training("flomo_training.finetuning")
    _warm.forget()  # the memory of the GPU is needed now
    try:
        learnt = finetuning.learn(
            arguments["base"],
            Path(arguments["store"]),
            Path(arguments["out"]),
            replay=_path(arguments.get("replay")),
            reference=_path(arguments.get("reference")),
            settings=finetuning.read_settings(arguments.get("settings")),
            device=arguments.get("device") or "auto",
            progress=context.report,
            cancelled=context.cancelled,
            resume=bool(arguments.get("resume")),
        )
        result: Mapping[str, Any] = learnt.as_dict()
    finally:
        _warm.forget()
    return result


def readiness(arguments: Mapping[str, Any], _context: Context) -> Mapping[str, Any]:
    """Tell how much there is to learn.

    Arguments: ``store``, ``base``; ``settings`` may be left out. Result: ``ready``, ``have``,
    ``need``, ``groups``, ``sentence``, ``skipped`` and ``corrections``, a hash that changes with
    them.
    """
    finetuning = import_training("flomo_training.finetuning")
    settings = finetuning.read_settings(arguments.get("settings"))
    found: Mapping[str, Any] = finetuning.look(
        arguments["base"], Path(arguments["store"]), settings
    )
    return found


def import_training(name: str) -> Any:
    """Import a module of the training package, or say how to get it."""
    try:
        from flomo_training import arguments
    except ImportError as error:
        raise FlomoError(
            "The training package is not installed; install it with: "
            "pip install 'napari-flomo[train]'."
        ) from error
    return arguments.import_training(name)


def preload(model: str, device: str) -> None:
    """Import torch and load a model that is on this computer; failures wait until it is used."""
    import torch  # noqa: F401 - the slowest part of a first click

    from napari_flomo.models import info

    state, _card = info(model)
    if state.folder is not None:
        _warm.get(state.folder, device).warm_up()


def settle() -> None:
    """Find a faster engine for what was segmented last, where that was not done yet."""
    _warm.settle()


TASKS: dict[str, Task] = {
    "segment": segment,
    "pull": pull,
    "devices": devices,
    "finetune": finetune,
    "readiness": readiness,
}
"""What can be asked for. Rooms that bring long work of their own add it here."""


def _fetched(model: str, context: Context) -> Path:
    """Return the folder of a model; one that is not here yet is fetched."""
    from napari_flomo.models import locate

    try:
        return locate(model, _bytes_of(context))
    except Cancelled:
        raise
    except FlomoError as error:
        raise MissingModel(str(error)) from error


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _bytes_of(context: Context) -> Callable[[int, int, float | None], None]:
    return lambda done, total, left: context.report(done, total, left, "Fetching the model")
