"""The files of a study, and whether they have changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.volumes import Study, files_of, stamp_of


@dataclass(frozen=True)
class Input:
    """The files that a study was read from.

    ``sha256`` is the hash of the file; of several files, that of the lines that ``sha256sum``
    prints for them. ``stamp`` changes with names, sizes and times and is cheap to compare.
    """

    sha256: str
    files: int
    bytes: int
    stamp: str


def read_input(study: Study, root: Path) -> Input:
    """Hash all files of a study; raise `FlomoError` if one cannot be read."""
    stamp = stamp_of(study, root)
    name = study.id.rpartition("/")[2]
    if stamp is None:
        raise FlomoError(f"{name} cannot be found or read; ask its owner or copy it again.")
    sums, size = [], 0
    try:
        for path in files_of(study, root):
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size += stream.tell()
            sums.append((digest, path.name))
    except OSError as error:
        raise FlomoError(f"{name} cannot be read: {reason_of(error)}.") from error
    whole = sums[0][0] if len(sums) == 1 and not study.series else _of_several(sums)
    return Input(whole, len(sums), size, stamp)


def _of_several(sums: list[tuple[str, str]]) -> str:
    lines = "".join(f"{digest}  {name}\n" for digest, name in sums)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
