"""The results folder: its settings, its lock, and the manifest with a line for each study.

===========================  =====================================================================
``flomo-cohort.json``        model, what is written, number of the run; marks the folder as results
``manifest.jsonl``           a `Row` a line, only ever added to; the last line of a study counts
``cohort.csv``               a line for each study, written when a run ends
``review.csv``               a line for each slice, the most wrong voxels first, written then, too
``studies/ID/labels.nii.gz``  what was made of the study, with its path as ``ID``
``lock``                     held by the program that works here
===========================  =====================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from napari_flomo import __version__
from napari_flomo.cohorts.finding import MARKER, Study
from napari_flomo.cohorts.inputs import stamp_of
from napari_flomo.cohorts.order import Order
from napari_flomo.cohorts.row import Row
from napari_flomo.errors import FlomoError
from napari_flomo.files import append, atomic_write, make_folder

SCHEMA = 1
MANIFEST = "manifest.jsonl"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept in memory of a line: a million of them must fit."""

    offset: int
    stamp: str | None  # None where it failed
    run: int


class CohortManifest:
    """The manifest of a results folder. Whoever adds to it holds the folder's lock.

    Parameters
    ----------
    out
        The results folder.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / MANIFEST
        self._known: dict[str, Known] = {}
        self._end = 0
        if self._path.exists():
            self._read()

    @classmethod
    def mended(cls, out: Path) -> Self:
        """Open a manifest to add to it: what a kill left of a last line is cut off."""
        manifest = cls(out)
        if manifest._path.exists() and manifest._path.stat().st_size > manifest._end:
            with manifest._path.open("r+b") as stream:
                stream.truncate(manifest._end)
        return manifest

    def add(self, rows: list[Row]) -> None:
        """Add rows; when this returns they are on the disk.

        Raises
        ------
        FlomoError
            If they cannot be written.
        """
        lines = [row.to_line() for row in rows]
        append(self._path, b"".join(lines))
        for row, line in zip(rows, lines, strict=True):
            self._note(row, len(line))

    def state(self, study: Study, order: Order) -> str:
        """Return ``"done"``, ``"failed"``, ``"changed"`` (or so it seems) or ``"new"``."""
        known = self._known.get(study.id)
        if known is None or known.run != order.run:
            return "new"
        if known.stamp is None:
            return "failed"
        if not all((order.out / path).is_file() for path in order.outputs(study.id).values()):
            return "new"
        return "done" if stamp_of(study, order.root) == known.stamp else "changed"

    def line(self, study: str) -> bytes:
        """Return the line of a study that is known."""
        with self._path.open("rb") as stream:
            stream.seek(self._known[study].offset)
            return stream.readline()

    def rows(self, run: int) -> Iterator[Row]:
        """Yield the last row of every study in a run, in the order of their names."""
        if not self._known:
            return
        with self._path.open("rb") as stream:
            for study in sorted(self._known):
                if self._known[study].run == run:
                    stream.seek(self._known[study].offset)
                    row = Row.from_line(stream.readline())
                    if row is not None:
                        yield row

    def _read(self) -> None:
        with self._path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # torn by a kill
                row = Row.from_line(line)
                if row is None:  # damaged: its study is done anew
                    self._end += len(line)
                else:
                    self._note(row, len(line))

    def _note(self, row: Row, length: int) -> None:
        stamp = row.input.stamp if row.state == "done" and row.input is not None else None
        self._known[row.study] = Known(self._end, stamp, row.run)
        self._end += length


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep the results folder for this program; the lock goes with the process, however it ends.

    Raises
    ------
    FlomoError
        If another program works there.
    """
    lock = FileLock(out / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise FlomoError(
            f"Another program works in {out}; wait until it has ended, or choose another folder."
        ) from error
    except OSError as error:
        raise FlomoError(f"{out} cannot be locked: {error.strerror or error}.") from error
    try:
        yield
    finally:
        lock.release()


def settle(order: Order, model: Mapping[str, Any], again: bool) -> Order:
    """Find out whether the results folder goes with what is wanted, and note it there.

    Parameters
    ----------
    order
        What is wanted.
    model
        Name and hashes of the model.
    again
        Whether what is there shall be replaced.

    Returns
    -------
    Order
        With the number of the run that is begun or gone on with.

    Raises
    ------
    FlomoError
        If the folder holds other files, or results of another model or with other outputs.
    """
    wanted = {
        "model": dict(model),
        "outputs": order.contents,
        "format": order.suffix,
        "mirrored": order.mirrored,
        "series": order.series,
    }
    there = _read_settings(order.out)
    if there is None:
        make_folder(order.out)
        _write_settings(order.out, 1, wanted)
        return replace(order, run=1)
    run = there["run"]
    if again:
        _write_settings(order.out, run + 1, wanted)
        return replace(order, run=run + 1)
    _compare(there, wanted, order.out)
    return replace(order, run=run)


def peek(order: Order) -> Order:
    """Return the order with the number of the run that the folder is at, changing nothing."""
    there = _read_settings(order.out)
    return order if there is None else replace(order, run=there["run"])


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
            said or "the only series" for said in (there.get("series"), wanted["series"])
        )
        differ = f"{before} of DICOM folders, not {now}"
    else:
        return
    raise FlomoError(
        f"{out} was begun with {differ}; ask for the same, choose another folder, or add --again "
        "to do all studies anew."
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
        raise FlomoError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, LookupError, TypeError):
        pass
    raise FlomoError(f"{path} is damaged; choose another folder.")


def _write_settings(out: Path, run: int, wanted: Mapping[str, Any]) -> None:
    content = {"schema": SCHEMA, "run": run, **wanted, "flomo": __version__}
    with atomic_write(out / MARKER) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
