"""The work on one study, in whatever process it happens."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from napari_flomo.cohorts.allocation import keep_freed_memory
from napari_flomo.cohorts.finding import Study
from napari_flomo.cohorts.inputs import Input, read_input, stamp_of
from napari_flomo.cohorts.order import CONTENTS, FORMATS, Order, StudyTask
from napari_flomo.cohorts.row import Row, most_uncertain, plain_scores
from napari_flomo.errors import Cancelled, FlomoError, Problem
from napari_flomo.files import make_folder

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmentation, Segmenter
    from napari_flomo.volumes import Volume

WORTH_SETTLING = 60.0
"""Seconds of work ahead for which finding the fastest engine pays: that takes several."""

Describe = Callable[[BaseException], Problem]
"""Returns what to tell the user about a failure."""


@dataclass(frozen=True)
class WorkerConfig:
    """All that a process must know to work; can be sent to another computer.

    Attributes
    ----------
    order
        What is wanted.
    model
        The files of the model by name: workers load these and fetch nothing.
    describe
        Makes a sentence of a failure.
    share
        Studies that each worker will have, about.
    """

    order: Order
    model: Mapping[str, bytes]
    describe: Describe
    share: float = 1.0


class StudyRunner:
    """Segments studies one after the other with one network, which is loaded once.

    Parameters
    ----------
    config
        What is wanted, and the model.
    device
        Where to compute, if not as the order says.
    """

    def __init__(self, config: WorkerConfig, device: str | None = None) -> None:
        self._config = config
        self._order = config.order
        self._device = device or config.order.device
        self._segmenter: Segmenter | None = None
        self._loading = threading.Lock()
        self._computing = threading.Lock()  # a network is not made for two threads at once
        self._stopped = threading.Event()
        self._settled = False

    def load(self) -> None:
        """Load the network now; without this the first study does.

        Raises
        ------
        FlomoError
            If the model is damaged or the device does not exist.
        """
        from napari_flomo.segmentation import Segmenter

        with self._loading:
            if self._segmenter is not None:
                return
            keep_freed_memory()
            with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
                for name, content in self._config.model.items():
                    (Path(folder) / name).write_bytes(content)
                self._segmenter = Segmenter.from_pretrained(
                    Path(folder), self._device, self._order.engine
                )

    def stop(self) -> None:
        """Let the study at hand, and all that come, raise `Cancelled` soon."""
        self._stopped.set()

    def segment(self, task: StudyTask) -> Row:
        """Segment one study and write its files: all or none.

        Returns
        -------
        Row
            Also where it failed; then no files of the study are left.

        Raises
        ------
        Cancelled
            After `stop`.
        """
        start = perf_counter()
        study, order = task.study, self._order
        source: Input | None = None
        try:
            source = read_input(study, order.root)
            hashed = perf_counter() - start
            known = _still_right(task, source, order)
            if known is not None:
                return known
            row = self._compute(task, source)
            seconds = {"hash": round(hashed, 4), **row.seconds}
            seconds["total"] = round(perf_counter() - start, 4)
            return replace(row, seconds=seconds)
        except Cancelled:
            raise
        except Exception as error:
            return failed_row(order, task, self._told(error), source)

    def _compute(self, task: StudyTask, source: Input) -> Row:
        from napari_flomo.measures import implausible

        if self._stopped.is_set():
            raise Cancelled
        study, order = task.study, self._order
        self.load()
        assert self._segmenter is not None
        start = perf_counter()
        volume = _read(study, order)
        opened = perf_counter()
        if stamp_of(study, order.root) != source.stamp:
            raise FlomoError("The image changed while it was read; run the command again.")
        segmentation = self._segment(volume)
        computed = perf_counter()
        self._settle(computed - opened)
        warnings = list(implausible(segmentation.labels, segmentation.card))
        outputs = order.outputs(study.id)
        self._save(segmentation, outputs)
        saved = perf_counter()
        stages = dict(segmentation.manifest.get("seconds", {}))
        stages.pop("total", None)
        scores = segmentation.scores
        assert scores is not None
        return Row(
            study.id,
            order.run,
            "done",
            source,
            outputs,
            _volumes(segmentation),
            plain_scores(segmentation.slice_scores),
            most_uncertain(segmentation.slice_scores),
            {
                "read": round(opened - start, 4),
                **stages,
                "segment": round(computed - opened, 4),
                "write": round(saved - computed, 4),
            },
            {
                **{key: value for key, value in segmentation.manifest.items() if key != "seconds"},
                "warnings": warnings,
            },
            attempts=task.attempt,
            expected_voxels=plain_scores(scores.expected_voxels(volume.geometry)),
            expected_dice=plain_scores(scores.least_expected_dice()),
        )

    def _segment(self, volume: Volume) -> Segmentation:
        assert self._segmenter is not None
        with self._computing:
            return self._segmenter.segment(
                volume,
                cancelled=self._stopped.is_set,
                keep_probabilities=self._order.probabilities,
                mirrored=self._order.mirrored,
            )

    def _settle(self, seconds: float) -> None:
        """After the first study, look for a faster engine where much work is to come."""
        assert self._segmenter is not None
        if not self._settled and seconds * (self._config.share - 1) > WORTH_SETTLING:
            with self._computing:
                self._segmenter.settle_engine()
        self._settled = True

    def _save(self, segmentation: Segmentation, outputs: Mapping[str, str]) -> None:
        out = self._order.out
        places = {content: out / path for content, path in outputs.items()}
        folder = places["labels"].parent
        for parent in reversed(folder.relative_to(out).parents):
            make_folder(out / parent)
        make_folder(folder)
        sweep(folder)
        segmentation.save(
            places["labels"],
            probabilities=places.get("probabilities"),
            uncertainty=places.get("uncertainty"),
        )
        _remove_others(folder, {path.name for path in places.values()})

    def _told(self, error: Exception) -> str:
        sentence = str(self._config.describe(error).sentence)
        return without_paths(sentence, self._order)


def _read(study: Study, order: Order) -> Volume:
    from napari_flomo.volumes import read, read_series

    if study.parts:
        return read_series(study.places(order.root), series=order.series, fill=True)
    return read(
        order.root / study.id,
        series=order.series if study.series else None,
        slice_axis=order.slice_axis,
        fill=True,
    )


def failed_row(order: Order, task: StudyTask, error: str, source: Input | None = None) -> Row:
    """Return the row of a study that failed, after removing what an earlier time left of it.

    Labels of an image that is no longer there, or of another model, would be taken for its own.
    """
    folder = (order.out / order.outputs(task.study.id)["labels"]).parent
    _remove_others(folder, set())
    sweep(folder)
    return Row(task.study.id, order.run, "failed", source, error=error, attempts=task.attempt)


def sweep(folder: Path) -> None:
    """Remove what a process that was killed left half-written in the folder of one study."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".flomo-*"):
            path.unlink(missing_ok=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove the outputs of an earlier run, which may have had other formats."""
    for content in CONTENTS:
        for suffix in FORMATS:
            if f"{content}{suffix}" not in kept:
                with contextlib.suppress(OSError):
                    (folder / f"{content}{suffix}").unlink(missing_ok=True)


def without_paths(sentence: str, order: Order) -> str:
    """Return a sentence that names files by their place below the two folders."""
    for place in (order.root, order.root.resolve(), order.out, order.out.resolve()):
        if place.name:  # not the root of the disk, whose name is in every path
            for slash in ("/", "\\"):
                sentence = sentence.replace(f"{place}{slash}", "")
            sentence = sentence.replace(str(place), ".")
    return sentence


def _still_right(task: StudyTask, source: Input, order: Order) -> Row | None:
    """Return the row of an earlier time if only the dates of the files changed since."""
    row = None if task.known is None else Row.from_line(task.known)
    if row is None or row.input is None or row.input.sha256 != source.sha256:
        return None
    if row.state != "done" or row.run != order.run or row.outputs != order.outputs(row.study):
        return None
    return replace(row, input=source)


def _volumes(segmentation: Segmentation) -> list[dict[str, Any]]:
    from napari_flomo.measures import structure_volumes

    structures = {label.code: label.name for label in segmentation.card.labels if label.code}
    measured = [asdict(one) for one in structure_volumes(segmentation.labels, structures)]
    for one in measured:
        one["ml"] = None if one["ml"] is None else round(one["ml"], 4)
    return measured
