"""The cache of graphs that OpenVINO compiled, with a checksum of each file.

OpenVINO compiles a graph again for another version or processor, or if a file does not parse, but
does not notice changed weights.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write, check_writable
from napari_flomo.paths import cache_folder


def open_cache(name: str) -> Path | None:
    """Return the folder of a graph without damaged files; None if it cannot be written."""
    folder = cache_folder() / "openvino" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / "test")
        for file in folder.glob("*.blob"):
            checksum = _checksum_file(file)
            if not checksum.exists() or checksum.read_text() != digest(file):
                checksum.unlink(missing_ok=True)
                file.unlink(missing_ok=True)
    except (OSError, ValueError, FlomoError):
        return None
    return folder


def add_checksums(folder: Path) -> None:
    """Write the checksums of new files; a file without one is not used again."""
    with suppress(OSError, FlomoError):
        for file in folder.glob("*.blob"):
            checksum, written = _checksum_file(file), file.stat().st_mtime_ns
            if not checksum.exists() or checksum.stat().st_mtime_ns < written:
                content = digest(file)
                with atomic_write(checksum) as temporary:
                    temporary.write_text(content)


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _checksum_file(file: Path) -> Path:
    return file.with_suffix(".sha256")
