"""Cache of engine timings and compiled graphs.

It can always be rebuilt: damaged files count as missing. Nothing is unpickled, and a graph is used
only if its SHA-256 is the one in its record.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import napari_flomo
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write_all
from napari_flomo.paths import cache_folder

if TYPE_CHECKING:
    import torch

LAYOUT = 2
KEPT_RECORDS = 16
"""Number of most recently used records to keep; a graph of FLoMo-Net B0 takes 10 MB."""

PACKAGES = ("torch", "openvino", "onnxruntime", "onnx", "numpy")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """Measurements of one engine.

    Attributes
    ----------
    seconds, setup, load
        Seconds per slice, to prepare it the first time, and to load it from the cache; None if not
        timed.
    difference
        Largest difference of probabilities from the plain network.
    fault
        Why it cannot be used; empty if it can.
    sure
        Whether enough labels were compared; for engines in lower precision.
    """

    seconds: float | None = None
    setup: float | None = None
    load: float | None = None
    difference: float | None = None
    fault: str = ""
    sure: bool = False


@dataclass(frozen=True)
class Record:
    """A cached choice: the name of the engine, all trials, and the SHA-256 of cached graphs."""

    chosen: str
    trials: Mapping[str, Trial]
    graphs: Mapping[str, str]


def key(
    *,
    weights: str,
    network: str,
    channels: int,
    size: tuple[int, int],
    asked: str,
    threads: int,
    device: torch.device,
    engines: Sequence[str],
) -> str:
    """Return a cache key of 32 hexadecimal digits for everything that the choice depends on.

    ``weights`` is their SHA-256, ``network`` name and arguments, ``asked`` the requested engine and
    ``engines`` are the names of those that were compared.
    """
    facts = {
        "layout": LAYOUT,
        "ours": napari_flomo.__version__,
        "packages": {package: _version(package) for package in PACKAGES},
        "processor": processor(),
        "system": [platform.system(), platform.machine(), platform.python_version()],
        "device": _device_name(device),
        "weights": weights,
        "network": network,
        "channels": channels,
        "size": list(size),
        "asked": asked,
        "threads": threads,
        "engines": list(engines),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def read(name: str) -> Record | None:
    """Return the record of a key; None if it is missing or damaged."""
    try:
        content = json.loads(_path(name, ".json").read_text(encoding="utf-8"))
        trials = {engine: Trial(**trial) for engine, trial in content["trials"].items()}
        record = Record(str(content["chosen"]), trials, dict(content["graphs"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if record.chosen not in record.trials:
        return None
    with suppress(OSError):
        _path(name, ".json").touch()  # the most recently used are kept
    return record


def read_graph(name: str, record: Record, engine: str) -> bytes | None:
    """Return a cached graph; None if it is missing or its hash is wrong."""
    try:
        content = _path(name, f".{engine}.graph").read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == record.graphs.get(engine) else None


def write(
    name: str, chosen: str, trials: Mapping[str, Trial], graphs: Mapping[str, bytes]
) -> Record:
    """Return a new record, and cache it if possible."""
    hashes = {engine: hashlib.sha256(content).hexdigest() for engine, content in graphs.items()}
    record = Record(chosen, dict(trials), hashes)
    _write(name, record, graphs)
    return record


def mark_verified(name: str, record: Record, engine: str) -> Record:
    """Record that enough labels of an engine were compared."""
    trials = {**record.trials, engine: replace(record.trials[engine], sure=True)}
    record = replace(record, trials=trials)
    _write(name, record, {})
    return record


def _write(name: str, record: Record, graphs: Mapping[str, bytes]) -> None:
    text = json.dumps({"layout": LAYOUT, **asdict(record)}, indent=1, sort_keys=True) + "\n"
    try:
        paths = [*(_path(name, f".{engine}.graph") for engine in graphs), _path(name, ".json")]
        _folder().mkdir(parents=True, exist_ok=True)
        with atomic_write_all(paths) as temporaries:
            contents = (*graphs.values(), text.encode())
            for temporary, content in zip(temporaries, contents, strict=True):
                temporary.write_bytes(content)
        _prune()
    except (OSError, FlomoError) as error:
        logger.info("the choice of the engine was not kept: %s", error)


def forget(name: str) -> None:
    """Remove a record if possible."""
    _remove(_path(name, ".json"))


def all_records() -> list[Record]:
    """Return all records, the most recently used first."""
    return [record for path in _newest() if (record := read(path.stem)) is not None]


def processor() -> str:
    """Return the model of the processor if the system reports it."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith(("model name", "Hardware", "CPU part")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _device_name(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folder() -> Path:
    return cache_folder() / "engines"


def _path(name: str, suffix: str) -> Path:
    return _folder() / f"{name}{suffix}"


def _newest() -> list[Path]:
    try:
        found = [(path.stat().st_mtime, path) for path in _folder().glob("*.json")]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def _prune() -> None:
    """Remove the least recently used records."""
    for old in _newest()[KEPT_RECORDS:]:
        _remove(old)


def _remove(record: Path) -> None:
    """Remove a record and its graphs."""
    for path in (record, *record.parent.glob(f"{record.stem}.*.graph")):
        with suppress(OSError):
            path.unlink()
