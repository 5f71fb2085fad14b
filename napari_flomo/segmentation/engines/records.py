"""What was measured on this computer, kept with the compiled graphs in the cache folder.

Everything here can be made again: whatever is damaged, missing or not writable is as good as
absent. Nothing is unpickled, and a graph is only read if its SHA-256 is the one in its record.
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
KEPT = 16
"""Records that are kept, the ones used last; a graph of FLoMo-Net B0 takes 10 MB."""

PACKAGES = ("torch", "openvino", "onnxruntime", "onnx", "numpy")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What was found out about one engine.

    Attributes
    ----------
    seconds
        Per slice; None if it did not get so far.
    setup, load
        Seconds to prepare it the first time, and to take it up again from the cache.
    difference
        Largest difference of probabilities from the plain network.
    fault
        Why it cannot be used; empty if it can.
    sure
        Whether its labels were compared on enough of a heart; for engines of fewer bits.
    """

    seconds: float | None = None
    setup: float | None = None
    load: float | None = None
    difference: float | None = None
    fault: str = ""
    sure: bool = False


@dataclass(frozen=True)
class Record:
    """The outcome of a measurement.

    Attributes
    ----------
    chosen
        Name of the engine to take.
    trials
        By the name of the engine.
    graphs
        SHA-256 of the kept graphs, by the name of the engine.
    """

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
    """Return a name for everything that an outcome depends on: 32 hexadecimal digits.

    Parameters
    ----------
    weights
        SHA-256 of the weights.
    network
        Name and arguments.
    channels, size
        Of the images.
    asked
        ``"auto"``, ``"fastest"`` or the name of an engine.
    threads, device
        What is computed with.
    engines
        Names of those that were compared.
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
    """Return the record of a key; None if there is none that can be read."""
    try:
        content = json.loads(_place(name, ".json").read_text(encoding="utf-8"))
        trials = {engine: Trial(**trial) for engine, trial in content["trials"].items()}
        record = Record(str(content["chosen"]), trials, dict(content["graphs"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if record.chosen not in record.trials:
        return None
    with suppress(OSError):
        _place(name, ".json").touch()  # the ones used last are kept
    return record


def read_graph(name: str, record: Record, engine: str) -> bytes | None:
    """Return a kept graph; None if there is none, or it is not the one that was kept."""
    try:
        content = _place(name, f".{engine}.graph").read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == record.graphs.get(engine) else None


def write(
    name: str, chosen: str, trials: Mapping[str, Trial], graphs: Mapping[str, bytes]
) -> Record:
    """Keep an outcome; where that is not possible it is only returned."""
    hashes = {engine: hashlib.sha256(content).hexdigest() for engine, content in graphs.items()}
    record = Record(chosen, dict(trials), hashes)
    _write(name, record, graphs)
    return record


def mark_sure(name: str, record: Record, engine: str) -> Record:
    """Keep that an engine's labels were compared on enough of a heart; its graph stays."""
    trials = {**record.trials, engine: replace(record.trials[engine], sure=True)}
    record = replace(record, trials=trials)
    _write(name, record, {})
    return record


def _write(name: str, record: Record, graphs: Mapping[str, bytes]) -> None:
    text = json.dumps({"layout": LAYOUT, **asdict(record)}, indent=1, sort_keys=True) + "\n"
    try:
        paths = [*(_place(name, f".{engine}.graph") for engine in graphs), _place(name, ".json")]
        _folder().mkdir(parents=True, exist_ok=True)
        with atomic_write_all(paths) as temporaries:
            contents = (*graphs.values(), text.encode())
            for temporary, content in zip(temporaries, contents, strict=True):
                temporary.write_bytes(content)
        _prune()
    except (OSError, FlomoError) as error:
        logger.info("the choice of the engine was not kept: %s", error)


def forget(name: str) -> None:
    """Remove what was kept under a key; where that is not possible it stays."""
    _remove(_place(name, ".json"))


def all_records() -> list[Record]:
    """Return every record on this computer, the one used last first."""
    return [record for path in _newest() if (record := read(path.stem)) is not None]


def processor() -> str:
    """Return the model of the processor, as well as the system tells it."""
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


def _place(name: str, suffix: str) -> Path:
    return _folder() / f"{name}{suffix}"


def _newest() -> list[Path]:
    try:
        found = [(path.stat().st_mtime, path) for path in _folder().glob("*.json")]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def _prune() -> None:
    """Remove what was not used for long."""
    for old in _newest()[KEPT:]:
        _remove(old)


def _remove(record: Path) -> None:
    """Remove a record and its graphs."""
    for path in (record, *record.parent.glob(f"{record.stem}.*.graph")):
        with suppress(OSError):
            path.unlink()
