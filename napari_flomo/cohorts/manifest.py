"""The results folder: its settings, its lock, and the manifest with a line for each study.

===========================  =====================================================================
``flomo-cohort.json``        model, what is written, number of the run; marks the folder as results
``manifest.jsonl``           one `StudyResult` per line; the last one of a study counts
``cohort.csv``               a row for each study, written when a run ends
``review.csv``               a row for each slice, the most wrong voxels first; also written then
``studies/ID/labels.nii.gz``  the result of a study, with its path as ``ID``
``lock``                     held by the running program
===========================  =====================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from napari_flomo import __version__
from napari_flomo.cohorts.config import CohortConfig
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import acquire_lock, append, atomic_write, make_folder
from napari_flomo.volumes import MARKER, Study, stamp_of

SCHEMA = 1
MANIFEST = "manifest.jsonl"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What is kept in memory of a line; sized for a million lines."""

    offset: int
    stamp: str | None  # None where it failed
    run: int


class CohortManifest:
    """The manifest of a results folder; hold the folder's lock while adding to it."""

    def __init__(self, out: Path) -> None:
        self._path = out / MANIFEST
        self._known: dict[str, IndexEntry] = {}
        self._end = 0
        if self._path.exists():
            self._read()

    @classmethod
    def open_for_append(cls, out: Path) -> Self:
        """Open a manifest for appending, and truncate an incomplete last line."""
        manifest = cls(out)
        if manifest._path.exists() and manifest._path.stat().st_size > manifest._end:
            with manifest._path.open("r+b") as stream:
                stream.truncate(manifest._end)
        return manifest

    def add(self, results: list[StudyResult]) -> None:
        """Append results and flush them to the disk."""
        lines = [result.to_line() for result in results]
        append(self._path, b"".join(lines))
        for result, line in zip(results, lines, strict=True):
            self._note(result, len(line))

    def state(self, study: Study, config: CohortConfig) -> str:
        """Return ``"done"``, ``"failed"``, ``"changed"`` (apparently) or ``"new"``."""
        known = self._known.get(study.id)
        if known is None or known.run != config.run:
            return "new"
        if known.stamp is None:
            return "failed"
        if not all((config.out / path).is_file() for path in config.outputs(study.id).values()):
            return "new"
        return "done" if stamp_of(study, config.root) == known.stamp else "changed"

    def line(self, study: str) -> bytes:
        """Return the line of a study."""
        with self._path.open("rb") as stream:
            stream.seek(self._known[study].offset)
            return stream.readline()

    def results(self, run: int) -> Iterator[StudyResult]:
        """Yield the last result of every study in a run, in the order of their names."""
        if not self._known:
            return
        with self._path.open("rb") as stream:
            for study in sorted(self._known):
                if self._known[study].run == run:
                    stream.seek(self._known[study].offset)
                    result = StudyResult.from_line(stream.readline())
                    if result is not None:
                        yield result

    def _read(self) -> None:
        with self._path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # incomplete
                result = StudyResult.from_line(line)
                if result is None:  # damaged: its study is repeated
                    self._end += len(line)
                else:
                    self._note(result, len(line))

    def _note(self, result: StudyResult, length: int) -> None:
        stamp = result.input.stamp if result.state == "done" and result.input is not None else None
        self._known[result.study] = IndexEntry(self._end, stamp, result.run)
        self._end += length


@contextmanager
def folder_lock(out: Path) -> Iterator[None]:
    """Hold the lock of a results folder; it is released whenever the process ends.

    Raises `FlomoError` if another program holds it.
    """
    with acquire_lock(
        out / LOCK,
        0.0,
        busy=f"Another program is using {out}; wait until it has ended, or choose another folder.",
        refused=lambda reason: f"{out} cannot be locked: {reason}.",
    ):
        yield


def begin_run(config: CohortConfig, model: Mapping[str, Any], again: bool) -> CohortConfig:
    """Begin or continue a run in the results folder, and record its settings there.

    Returns the settings with the number of the run. Raises `FlomoError` if the folder holds results
    of another model or with other settings, unless ``again`` asks to replace them.
    """
    wanted = {
        "model": dict(model),
        "outputs": config.contents,
        "format": config.suffix,
        "mirrored": config.mirrored,
        "series": config.series,
    }
    there = _read_settings(config.out)
    if there is None:
        make_folder(config.out)
        _write_settings(config.out, 1, wanted)
        return replace(config, run=1)
    run = there["run"]
    if again:
        _write_settings(config.out, run + 1, wanted)
        return replace(config, run=run + 1)
    _compare(there, wanted, config.out)
    return replace(config, run=run)


def at_current_run(config: CohortConfig) -> CohortConfig:
    """Return the settings with the number of the current run, without writing anything."""
    there = _read_settings(config.out)
    return config if there is None else replace(config, run=there["run"])


def _compare(there: Mapping[str, Any], wanted: Mapping[str, Any], out: Path) -> None:
    if there["model"] != wanted["model"]:
        names = (there["model"].get("name"), wanted["model"].get("name"))
        differ = (
            f"the model {names[0]}, not {names[1]}"
            if names[0] != names[1]
            else f"another version of the model {names[0]}"
        )
    elif there["outputs"] != wanted["outputs"]:
        differ = f"{' and '.join(there['outputs'])}, not {' and '.join(wanted['outputs'])}"
    elif there["format"] != wanted["format"]:
        differ = f"files in {there['format']}, not {wanted['format']}"
    elif there.get("mirrored", False) != wanted["mirrored"]:
        differ = "plain views" if wanted["mirrored"] else "mirrored views"
    elif there.get("series") != wanted["series"]:
        before, now = (
            series or "the only series" for series in (there.get("series"), wanted["series"])
        )
        differ = f"{before} of DICOM folders, not {now}"
    else:
        return
    raise FlomoError(
        f"{out} was begun with {differ}; ask for the same, choose another folder, or add --again "
        "to repeat all studies."
    )


def _read_settings(out: Path) -> dict[str, Any] | None:
    path = out / MARKER
    if not path.exists():
        if out.is_dir() and (out / MANIFEST).exists():
            raise FlomoError(f"{out} has lost its {MARKER}; choose another folder.")
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] > SCHEMA:
            raise FlomoError(
                f"{out} was written by a newer napari-flomo; update it or choose another folder."
            )
        good = isinstance(content["run"], int) and isinstance(content["model"], dict)
        if good and isinstance(content["outputs"], list) and isinstance(content["format"], str):
            return content
    except OSError as error:
        raise FlomoError(f"{path} cannot be read: {reason_of(error)}.") from error
    except (ValueError, LookupError, TypeError):
        pass
    raise FlomoError(f"{path} is damaged; choose another folder.")


def _write_settings(out: Path, run: int, wanted: Mapping[str, Any]) -> None:
    content = {"schema": SCHEMA, "run": run, **wanted, "flomo": __version__}
    with atomic_write(out / MARKER) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
