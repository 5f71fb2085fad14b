"""What has to be in Slicer's Python, and how it gets there without breaking Slicer.

This module runs before ``napari_flomo`` is installed and needs the standard library only. Nothing
is installed unless the user clicks the button. Packages that Slicer brings are never replaced: they
are pinned for pip to the versions that are there, and pip gives up rather than change them.
"""

from __future__ import annotations

import datetime
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from FLoMoSegmentationLib import versions

PACKAGE = "napari-flomo"
TORCH = ">=2.4"
PYTHON = (3, 11)
"""The oldest Python that our package runs in; Slicer 5.8 has 3.9, Slicer 5.10 has 3.12."""

PROTECTED = ("numpy", "SimpleITK", "torch", "requests", "vtk")
"""What belongs to Slicer or to its extension PyTorch; pip may not touch it."""


@dataclass(frozen=True)
class Requirement:
    """A package that ours needs, as in its own metadata.

    Attributes
    ----------
    name, specifier
        As pip has them: ``"nibabel"`` and ``">=5.2"``.
    """

    name: str
    specifier: str

    def __str__(self) -> str:
        return f"{self.name}{self.specifier}"


REQUIREMENTS = (
    Requirement("filelock", ">=3.12"),
    Requirement("huggingface-hub", ">=1.0"),
    Requirement("nibabel", ">=5.2"),
    Requirement("platformdirs", ">=4.2"),
    Requirement("pydicom", ">=3"),
    Requirement("pynrrd", ">=1.1"),
    Requirement("safetensors", ">=0.4.5"),
    Requirement("scikit-image", ">=0.22"),
    Requirement("scipy", ">=1.11"),
    Requirement("tqdm", ">=4.66"),
)
"""All that the metadata of our package asks for, less `PROTECTED`."""

TRAINING = (
    Requirement("lightning", ">=2.4"),
    Requirement("matplotlib", ">=3.8"),
    Requirement("monai", ">=1.4"),
    Requirement("numba", ">=0.60"),
    Requirement("pyyaml", ">=6"),
    Requirement("tensorboard", ">=2.16"),
)
"""What only training needs: the extra ``train`` of our package."""

REQUIREMENTS_MB = 70
PACKAGE_MB = 11
"""Sizes as ``slicer_extension/measure_download.py`` prints them, for Linux."""
TORCH_MB = "200 MB for the CPU, up to 3 GB with CUDA"


def too_old(version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """Return why nothing can be installed in this Python, one sentence; empty if it can."""
    if version >= PYTHON:
        return ""
    return (
        f"FLoMo needs Python {PYTHON[0]}.{PYTHON[1]}, but this Slicer has "
        f"{version[0]}.{version[1]}; use Slicer 5.10 or newer."
    )


class InstallFailed(Exception):
    """It did not work; the message is one sentence: what is wrong and what to do."""


class Pip(Protocol):
    """Runs ``pip install``; raises if it fails."""

    def __call__(self, arguments: Sequence[str], constraints: Path | None = None) -> None:
        """See `versions.pip_install`."""


def _say_nothing(_line: str) -> None:
    pass


Torch = Callable[[str], None]
Check = Callable[[], None]
Log = Callable[[str], None]


def installed() -> dict[str, str]:
    """Return names (in lower case, with hyphens) and versions of what matters to us."""
    importlib.invalidate_caches()
    found = {}
    names = [one.name for one in (*REQUIREMENTS, *TRAINING)]
    for name in (*PROTECTED, *names, PACKAGE):
        with suppress(metadata.PackageNotFoundError):
            found[_key(name)] = metadata.version(name)
    return found


def missing(there: Mapping[str, str] | None = None, *, training: bool = False) -> list[str]:
    """Return what has to be installed, as pip has it; empty when all is there.

    Parameters
    ----------
    there
        What is installed; looked up by default.
    training
        Whether what only training needs counts, too.
    """
    there = installed() if there is None else there
    needed = [Requirement("torch", TORCH), *REQUIREMENTS, Requirement(PACKAGE, "")]
    needed += TRAINING if training else ()
    return [str(one) for one in needed if not _fulfils(there.get(_key(one.name)), one.specifier)]


def explain(wanted: Sequence[str], folder: Path | None = None) -> str:
    """Describe what a click on the button will do, and the size of the download."""
    if not wanted:
        return "Everything that FLoMo needs is installed."
    if folder is not None:
        wheels = list(folder.glob("*.whl"))
        size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
        return (
            f"Installs from {len(wheels)} wheels ({size:.0f} MB) in {folder.name}, without the "
            f"internet: {', '.join(wanted)}."
        )
    torch = any(name.startswith("torch") for name in wanted)
    ours = PACKAGE_MB if PACKAGE in wanted else 0
    others = REQUIREMENTS_MB if len(wanted) > torch + bool(ours) else 0
    parts = [f"PyTorch by Slicer's extension PyTorch ({TORCH_MB})"] if torch else []
    parts += [f"{others + ours} MB of other packages"] if others + ours else []
    return (
        f"Downloads {' and '.join(parts)}: {', '.join(wanted)}. "
        "Nothing that Slicer brings is replaced."
    )


def install(
    folder: Path | None = None,
    *,
    training: bool = False,
    pip: Pip = versions.pip_install,
    torch: Torch = versions.install_torch,
    check: Check | None = None,
    log: Log = _say_nothing,
    look: Callable[[], dict[str, str]] = installed,
) -> None:
    """Install what is missing; can be called again after a failure and goes on where it was.

    Parameters
    ----------
    folder
        Of wheels, to install from without the internet; None takes the package index.
    training
        Whether to install what only training needs, too.
    pip, torch
        How packages and PyTorch are installed.
    check
        Called at the end; raises if the package does not run. By default it is started once in a
        process of its own.
    log
        Told every step.
    look
        Returns what is installed.

    Raises
    ------
    InstallFailed
        If a step fails. What was installed before it stays, and Slicer works as before.
    """
    before = dict(look())
    wanted = missing(before, training=training)
    source = [] if folder is None else ["--no-index", "--find-links", str(folder)]
    if folder is not None and not any(folder.glob("*.whl")):
        raise InstallFailed(f"There are no wheels in {folder.name}; choose the folder with them.")
    with tempfile.TemporaryDirectory(prefix="flomo-install-") as scratch:
        constraints = Path(scratch) / "constraints.txt"
        for number, (what, arguments) in enumerate(_steps(wanted, source), 1):
            log(f"Step {number}: {what}")
            constraints.write_text(_pins(look()), encoding="utf-8")
            if arguments is None:
                _attempt(what, partial(torch, TORCH), log)
            else:
                _attempt(what, partial(pip, arguments, constraints), log)
    after = look()
    changed = [
        f"{name} {before[_key(name)]} -> {after.get(_key(name), 'gone')}"
        for name in PROTECTED
        if _key(name) in before and before[_key(name)] != after.get(_key(name))
    ]
    if changed and not (len(changed) == 1 and changed[0].startswith("torch ")):
        raise InstallFailed(
            f"Packages of Slicer were changed ({', '.join(changed)}); install Slicer again."
        )
    left = missing(after, training=training)
    if left:
        raise InstallFailed(f"Still missing: {', '.join(left)}; try again and see the log.")
    _attempt("first start", check or start_once, log)
    log("Done.")


def start_once() -> None:
    """Start the installed package in a process of its own, as every run will.

    Raises
    ------
    CalledProcessError, OSError, TimeoutExpired
        If it does not start.
    """
    command = [versions.python_executable(), "-P", "-m", "napari_flomo", "--version"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


class LogFile:
    """Lines with their time, in a file that a user can send; no more than the last attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Add a line; a disk that is full must not stop an installation."""
        self.lines.append(f"{datetime.datetime.now():%H:%M:%S} {line}")
        try:
            self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        except OSError:
            self.path = Path(self.path.name)


def _steps(wanted: Sequence[str], source: list[str]) -> list[tuple[str, list[str] | None]]:
    """Return the steps: a title, and the arguments of pip; None for PyTorch's extension."""
    torch = [name for name in wanted if name.startswith("torch")]
    ours = [name for name in wanted if name == PACKAGE]
    others = [name for name in wanted if name not in (*torch, *ours)]
    steps: list[tuple[str, list[str] | None]] = []
    if torch:
        steps.append(("PyTorch", [*source, *torch] if source else None))
    if others:
        steps.append((", ".join(others), [*source, *others]))
    if ours:
        steps.append((PACKAGE, [*source, "--no-deps", *ours]))
    return steps


def _attempt(what: str, action: Callable[[], Any], log: Log) -> None:
    try:
        action()
    except InstallFailed:
        raise
    except Exception as error:
        details = getattr(error, "stderr", b"") or b""
        text = details.decode("utf-8", "replace") if isinstance(details, bytes) else str(details)
        log(f"{what} failed: {type(error).__name__}: {error}\n{text}".rstrip())
        raise InstallFailed(
            f"{what} could not be installed; see the log, check the internet connection (or choose "
            "a folder of wheels) and try again. Slicer works as before."
        ) from error


def _pins(there: Mapping[str, str]) -> str:
    """Return the constraints that keep what Slicer brings."""
    lines = [
        f"{name}=={there[_key(name)].partition('+')[0]}"
        for name in PROTECTED
        if _key(name) in there
    ]
    return "\n".join(lines) + "\n"


def _fulfils(version: str | None, specifier: str) -> bool:
    if version is None:
        return False
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        from pip._vendor.packaging.specifiers import SpecifierSet  # type: ignore[assignment]
    return not specifier or SpecifierSet(specifier).contains(version, prereleases=True)


def _key(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
