"""Segment studies one by one, in any process."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from napari_flomo.cohorts.allocation import keep_freed_memory
from napari_flomo.cohorts.config import CONTENTS, FORMATS, CohortConfig, StudyTask
from napari_flomo.cohorts.inputs import Input, read_input
from napari_flomo.cohorts.study_result import StudyResult, most_uncertain, plain_scores
from napari_flomo.errors import Cancelled, FlomoError, describe
from napari_flomo.files import make_folder
from napari_flomo.volumes import Study, stamp_of

if TYPE_CHECKING:
    from napari_flomo.models import Family
    from napari_flomo.segmentation import ModelChoice, Segmentation, Segmenter
    from napari_flomo.volumes import Volume

WORTH_MEASURING_SECONDS = 60.0
"""Remaining work for which it pays to make a graph, which takes seconds."""


@dataclass(frozen=True)
class WorkerConfig:
    """Settings that a worker process needs; can be sent to another computer.

    ``model`` holds the files of the model by name: workers load these and download nothing.
    ``share`` is the approximate number of studies per worker. With a ``family`` the image of each
    study chooses the model, and ``specialists`` holds the files of each by name.
    """

    config: CohortConfig
    model: Mapping[str, bytes]
    share: float = 1.0
    family: Family | None = None
    specialists: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


class StudyRunner:
    """Segments studies one after the other, loading the network once.

    ``device`` overrides the device of the settings.
    """

    def __init__(self, worker_config: WorkerConfig, device: str | None = None) -> None:
        self._worker_config = worker_config
        self._config = worker_config.config
        self._device = device or worker_config.config.device
        self._segmenter: Segmenter | None = None
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._specialists: dict[str, Segmenter | FlomoError] = {}
        self._loading = threading.Lock()
        self._computing = threading.Lock()  # the segmenter is not thread-safe
        self._stopped = threading.Event()
        self._settled = False

    def load(self) -> None:
        """Load the network now instead of with the first study."""
        with self._loading:
            if self._segmenter is None:
                keep_freed_memory()
                self._segmenter = self._loaded(self._worker_config.model)

    def _loaded(self, files: Mapping[str, bytes]) -> Segmenter:
        """Load a network from the content of its files."""
        from napari_flomo.segmentation import Segmenter

        # The segmenter may load the network later: the folder lasts as long as the runner.
        folder = tempfile.TemporaryDirectory(prefix="flomo-")
        self._folders.append(folder)
        for name, content in files.items():
            (Path(folder.name) / name).write_bytes(content)
        return Segmenter.from_pretrained(Path(folder.name), self._device, self._config.engine)

    def stop(self) -> None:
        """Let the current study, and all further ones, raise `Cancelled` soon."""
        self._stopped.set()

    def segment(self, task: StudyTask) -> StudyResult:
        """Segment one study and write all of its files or none.

        Also returns a result for a failure; then no files of the study remain. Raises `Cancelled`
        after `stop`.
        """
        start = perf_counter()
        study, config = task.study, self._config
        source: Input | None = None
        try:
            source = read_input(study, config.root)
            hashed = perf_counter() - start
            known = _unchanged_result(task, source, config)
            if known is not None:
                return known
            result = self._compute(task, source)
            seconds = {"hash": round(hashed, 4), **result.seconds}
            seconds["total"] = round(perf_counter() - start, 4)
            return replace(result, seconds=seconds)
        except Cancelled:
            raise
        except Exception as error:
            sentence = without_paths(describe(error).sentence, config)
            return failed_result(config, task, sentence, source)

    def _compute(self, task: StudyTask, source: Input) -> StudyResult:
        from napari_flomo.measures import Conventions, implausible

        if self._stopped.is_set():
            raise Cancelled
        study, config = task.study, self._config
        self.load()
        assert self._segmenter is not None
        start = perf_counter()
        volume = _read(study, config)
        opened = perf_counter()
        if stamp_of(study, config.root) != source.stamp:
            raise FlomoError("The image changed while it was read; run the command again.")
        segmentation = self._segment(volume)
        computed = perf_counter()
        self._settle(computed - opened)
        problems = segmentation.manifest.get("choice", {}).get("problems", ())
        warnings = [*problems, *implausible(segmentation.labels, segmentation.card)]
        outputs = config.outputs(study.id)
        self._save(segmentation, outputs)
        saved = perf_counter()
        stages = dict(segmentation.manifest.get("seconds", {}))
        stages.pop("total", None)
        scores = segmentation.scores
        assert scores is not None
        return StudyResult(
            study.id,
            config.run,
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
                "conventions": asdict(Conventions()),
            },
            attempts=task.attempt,
            expected_voxels=plain_scores(scores.expected_voxels(volume.geometry)),
            expected_dice=plain_scores(scores.least_expected_dice()),
        )

    def _segment(self, volume: Volume) -> Segmentation:
        with self._computing:
            segmenter, choice = self._choose(volume)
            segmentation = segmenter.segment(
                volume,
                cancelled=self._stopped.is_set,
                keep_probabilities=self._config.probabilities,
                mirrored=self._config.mirrored,
            )
        return segmentation if choice is None else choice.noted(segmentation)

    def _choose(self, volume: Volume) -> tuple[Segmenter, ModelChoice | None]:
        """Return the segmenter for an image, and why it; None if there is no choice."""
        from napari_flomo.segmentation import choose_member, fallen_back

        assert self._segmenter is not None
        members = self._worker_config.family
        if members is None:
            return self._segmenter, None
        choice = choose_member(volume, members, self._segmenter.card)
        if choice.model == members.parent:
            return self._segmenter, choice
        if choice.model not in self._specialists:
            try:
                found = self._loaded(self._worker_config.specialists[choice.model])
            except FlomoError as error:
                self._specialists[choice.model] = error
            else:
                self._specialists[choice.model] = found
        specialist = self._specialists[choice.model]
        if isinstance(specialist, FlomoError):
            return self._segmenter, fallen_back(choice, members, str(specialist))
        return specialist, choice

    def _settle(self, seconds: float) -> None:
        """After the first study, make the graph of a model that has none if much work remains."""
        assert self._segmenter is not None
        if (
            not self._settled
            and seconds * (self._worker_config.share - 1) > WORTH_MEASURING_SECONDS
        ):
            with self._computing:
                self._segmenter.prepare_graphs()
        self._settled = True

    def _save(self, segmentation: Segmentation, outputs: Mapping[str, str]) -> None:
        out = self._config.out
        paths = {content: out / path for content, path in outputs.items()}
        folder = paths["labels"].parent
        for parent in reversed(folder.relative_to(out).parents):
            make_folder(out / parent)
        make_folder(folder)
        remove_temporary_files(folder)
        segmentation.save(
            paths["labels"],
            probabilities=paths.get("probabilities"),
            uncertainty=paths.get("uncertainty"),
        )
        _remove_others(folder, {path.name for path in paths.values()})


def _read(study: Study, config: CohortConfig) -> Volume:
    from napari_flomo.volumes import read, read_series

    if study.parts:
        return read_series(study.paths(config.root), series=config.series, fill=True)
    return read(
        config.root / study.id,
        series=config.series if study.series else None,
        slice_axis=config.slice_axis,
        fill=True,
    )


def failed_result(
    config: CohortConfig, task: StudyTask, error: str, source: Input | None = None
) -> StudyResult:
    """Return the result of a failed study, after removing outputs of an earlier run.

    They may be labels of another image or model.
    """
    folder = (config.out / config.outputs(task.study.id)["labels"]).parent
    _remove_others(folder, set())
    remove_temporary_files(folder)
    return StudyResult(
        task.study.id, config.run, "failed", source, error=error, attempts=task.attempt
    )


def remove_temporary_files(folder: Path) -> None:
    """Remove temporary files of a killed process from the folder of a study."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".flomo-*"):
            path.unlink(missing_ok=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove outputs of an earlier run, possibly in other formats."""
    for content in CONTENTS:
        for suffix in FORMATS:
            if f"{content}{suffix}" not in kept:
                with contextlib.suppress(OSError):
                    (folder / f"{content}{suffix}").unlink(missing_ok=True)


def without_paths(sentence: str, config: CohortConfig) -> str:
    """Return a sentence with paths relative to the input and the results folder."""
    for folder in (config.root, config.root.resolve(), config.out, config.out.resolve()):
        if folder.name:  # not the root folder, which is in every path
            for slash in ("/", "\\"):
                sentence = sentence.replace(f"{folder}{slash}", "")
            sentence = sentence.replace(str(folder), ".")
    return sentence


def _unchanged_result(task: StudyTask, source: Input, config: CohortConfig) -> StudyResult | None:
    """Return the previous result if only the dates of the files have changed."""
    result = None if task.known is None else StudyResult.from_line(task.known)
    if result is None or result.input is None or result.input.sha256 != source.sha256:
        return None
    if (
        result.state != "done"
        or result.run != config.run
        or result.outputs != config.outputs(result.study)
    ):
        return None
    return replace(result, input=source)


def _volumes(segmentation: Segmentation) -> list[dict[str, Any]]:
    from napari_flomo.measures import structure_volumes

    structures = {label.code: label.name for label in segmentation.card.labels if label.code}
    measured = [asdict(one) for one in structure_volumes(segmentation.labels, structures)]
    for one in measured:
        one["ml"] = None if one["ml"] is None else round(one["ml"], 4)
    return measured
