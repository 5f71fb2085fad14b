"""Which optional extras are installed, and how many megabytes they add to the base."""

from __future__ import annotations

import csv
import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "napari-flomo"

APPROXIMATE_MB = {
    "torch": 730,
    "train": 1084,
    "napari": 166,
    "pyside6": 237,
    "fast": 91,
    "cohort": 31,
    "dicom": 33,
    "report": 56,
    "all": 1599,
}
"""The extras that users install, and what they add to the base on Linux with PyTorch for the CPU;
measured by ``training/benchmarks/startup.py``."""


@dataclass(frozen=True)
class _Installed:
    size: int  # bytes
    requirements: list[Requirement]


def extra_sizes() -> tuple[dict[str, bool], dict[str, int]]:
    """Return which extras are installed, and the megabytes of the base and added by each extra.

    Sizes are those of the files of the installed packages, dependencies included, each counted once
    and without compiled bytecode. For an extra that is not installed it is `APPROXIMATE_MB`.
    """
    known: dict[str, _Installed | None] = {}
    base, _complete = _needed("", known)
    sizes = {"base": _megabytes(base)}
    installed = {}
    for extra, approximate in APPROXIMATE_MB.items():
        needed, installed[extra] = _needed(extra, known)
        added = {name: one for name, one in needed.items() if name not in base}
        sizes[extra] = _megabytes(added) if installed[extra] else approximate
    return installed, sizes


def package_sizes() -> dict[str, int]:
    """Return the bytes of each package that is installed without extras."""
    return {name: one.size for name, one in _needed("", {})[0].items()}


def _needed(extra: str, known: dict[str, _Installed | None]) -> tuple[dict[str, _Installed], bool]:
    """Return the installed packages that this one needs with an extra, itself included.

    The second value is False if one of those that the extra names is missing.
    """
    from packaging.utils import canonicalize_name

    found: dict[str, _Installed] = {}
    complete = True
    seen = set()
    waiting = [(PACKAGE, extra, True)]
    while waiting:
        name, chosen, direct = wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        if name not in known:
            known[name] = _look_up(name)
        one = known[name]
        if one is None:
            complete = complete and not direct
            continue
        found[name] = one
        for line in one.requirements:
            if line.marker is None or line.marker.evaluate({"extra": chosen}):
                dependency = canonicalize_name(line.name)
                waiting += [(dependency, other, name == PACKAGE) for other in line.extras or [""]]
    return found, complete


def _look_up(name: str) -> _Installed | None:
    """Return the size and the requirements of a package; None if it is not installed."""
    from packaging.requirements import Requirement

    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    # ``package.files`` would look at every file.
    record = csv.reader((package.read_text("RECORD") or "").splitlines())
    size = sum(int(row[2] or 0) for row in record)
    return _Installed(size, [Requirement(line) for line in package.requires or ()])


def _megabytes(packages: dict[str, _Installed]) -> int:
    return round(sum(one.size for one in packages.values()) / 1e6)
