"""Write data sets as prepared folders for training: checked, hashed, resumable.

Images and labels are written atomically one by one; existing files with the same content are kept,
so an interrupted run can be resumed. The tables that make the folder usable are written last and
together, so an unfinished folder is never used for training.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from flomo_training.cases import CASES_FILE, list_cases
from flomo_training.cli import DATA_SETS
from flomo_training.folds import FOLDS_FILE, Folds
from napari_flomo import __version__
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write, atomic_write_all
from napari_flomo.tables import read_text

MANIFEST_FILE = "manifest.json"
NAMED_AT_MOST = 5


@dataclass(frozen=True)
class PreparedCase:
    """One case to write into a prepared folder: its row of ``cases.csv``, and two file contents.

    The row has the keys ``case``, ``patient``, ``phase``, ``group``, ``image`` and ``labels``, the
    last two as paths within the folder.
    """

    row: dict[str, str]
    image: bytes
    labels: bytes


def raise_if_missing(source: Path, missing: Sequence[str]) -> None:
    """Raise a `FlomoError` that names the first missing files of a source, if there are any."""
    if missing:
        named = ", ".join(missing[:NAMED_AT_MOST])
        more = len(missing) - NAMED_AT_MOST
        rest = f" and {more} more" if more > 0 else ""
        raise FlomoError(f"{source} is incomplete: {named}{rest} missing; download the data again.")


def write_prepared(
    out: Path,
    title: str,
    total: int,
    items: Iterator[PreparedCase],
    fold: Callable[[Sequence[dict[str, str]]], Folds],
) -> None:
    """Write a prepared folder.

    Parameters
    ----------
    out
        Folder, created if missing. It may contain an interrupted run for the same data.
    title
        Name of the data set, for the manifest.
    total
        Number of cases, for the progress bar.
    items
        Cases; the iterator raises for invalid ones.
    fold
        Returns the folds of all rows; it may also fill in their patients.

    Raises
    ------
    FlomoError
        If a case is invalid, the folds have leaks, the folder contains other files, or a file
        cannot be written. Files written so far are kept, so that the run can be resumed.
    """
    for folder in ("images", "labels"):
        try:
            (out / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FlomoError(
                f"The folder {out / folder} cannot be created ({reason_of(error)}); choose another."
            ) from error
    rows, hashes = [], {}
    for item in tqdm(items, total=total, unit="case", disable=not sys.stderr.isatty()):
        for name, content in ((item.row["image"], item.image), (item.row["labels"], item.labels)):
            _write_if_changed(out / name, content)
            hashes[name] = hashlib.sha256(content).hexdigest()
        rows.append(item.row)
    present = {f"{path.parent.name}/{path.name}" for path in _files(out)}
    if strangers := sorted(present - hashes.keys()):
        raise FlomoError(
            f"{out} also contains {strangers[0]}, which is not part of this data set; choose an "
            "empty folder."
        )
    folds = fold(rows)
    tables = {CASES_FILE: _as_csv(rows), FOLDS_FILE: folds.text()}
    hashes |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tables.items()}
    manifest = {"data": title, "napari_flomo": __version__, "sha256": dict(sorted(hashes.items()))}
    tables[MANIFEST_FILE] = json.dumps(manifest, indent=1) + "\n"
    with (
        _checked(out, len(folds.folds)),
        atomic_write_all([out / name for name in tables]) as files,
    ):
        for file, text in zip(files, tables.values(), strict=True):
            file.write_bytes(text.encode())


def data_name(source: Path) -> str:
    """Return the short name of a data folder, from its manifest or the name of the folder.

    Raises a `FlomoError` if the manifest is damaged.
    """
    title, manifest = source.resolve().name, source / MANIFEST_FILE
    if manifest.is_file():
        try:
            title = str(json.loads(read_text(manifest))["data"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FlomoError(f"{manifest} is damaged ({error}); prepare the data again.") from error
    name = re.sub("[^a-z0-9]+", "_", title.lower()).strip("_")
    return next((known for known in DATA_SETS if name.startswith(known)), name)


@contextmanager
def _checked(out: Path, number: int) -> Iterator[None]:
    """Remove the tables again if a fold has a leak."""
    yield
    try:
        for fold in range(number):
            list_cases(out, fold, "validation")
    except FlomoError:
        for name in (CASES_FILE, FOLDS_FILE, MANIFEST_FILE):
            (out / name).unlink(missing_ok=True)
        raise


def _write_if_changed(target: Path, content: bytes) -> None:
    if target.is_file() and target.read_bytes() == content:
        return
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)


def _files(out: Path) -> Iterator[Path]:
    for folder in ("images", "labels"):
        yield from (path for path in (out / folder).iterdir() if not path.name.startswith("."))


def _as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
