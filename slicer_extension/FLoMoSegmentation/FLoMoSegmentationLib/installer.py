"""Install the required packages into Slicer's Python without breaking Slicer.

This module runs before ``napari_flomo`` is installed and needs the standard library only. Packages
of Slicer are pinned to the installed versions by a constraints file, so pip fails rather than
replace them.
"""

from __future__ import annotations

import datetime
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path

from FLoMoSegmentationLib import compat

PACKAGE = "napari-flomo"
TORCH = "torch>=2.4"
PYTHON = (3, 11)
"""The oldest supported Python; Slicer 5.8 has 3.9, Slicer 5.10 has 3.12."""

PROTECTED = ("numpy", "SimpleITK", "torch", "requests", "vtk")
"""Packages of Slicer and of its PyTorch extension, which pip must not change."""

REQUIREMENTS = (
    "filelock>=3.12",
    "huggingface-hub>=1.3",
    "matplotlib>=3.8",
    "nibabel>=5.2",
    "openvino>=2025.0",
    "packaging>=22",
    "pillow>=10",
    "platformdirs>=4.2",
    "pydicom>=3",
    "pynrrd>=1.1",
    "safetensors>=0.4.5",
    "scikit-image>=0.22",
    "tqdm>=4.66",
)
"""Dependencies of `PACKAGE` and its extra ``report`` except `PROTECTED`."""

TRAINING_REQUIREMENTS = (
    "lightning>=2.4",
    "monai>=1.4",
    "numba>=0.60",
    "onnx>=1.16",
    "pyyaml>=6",
    "scipy>=1.11",
    "tensorboard>=2.16",
)
"""The rest of the extra ``train`` of `PACKAGE`."""

REQUIREMENTS_MB = 146
PACKAGE_MB = 19
"""Download sizes printed by ``slicer_extension/measure_download.py`` on Linux."""
TORCH_MB = "200 MB for the CPU, up to 3 GB with CUDA"

TRAINING_HINT = "Only training (Learn) needs PyTorch; the documentation says how to add it."


class InstallError(Exception):
    """An installation failed; the message is one sentence that says what to do."""


def too_old(version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """Return why this Python is not supported in one sentence; empty if it is."""
    if version >= PYTHON:
        return ""
    return (
        f"FLoMo needs Python {PYTHON[0]}.{PYTHON[1]}, but this Slicer has "
        f"{version[0]}.{version[1]}; use Slicer 5.10 or newer."
    )


def installed() -> dict[str, str]:
    """Return the versions of installed packages by normalized name."""
    importlib.invalidate_caches()
    found = {}
    names = [_split(one)[0] for one in (*REQUIREMENTS, *TRAINING_REQUIREMENTS)]
    for name in (*PROTECTED, *names, PACKAGE):
        with suppress(metadata.PackageNotFoundError):
            found[_normalized(name)] = metadata.version(name)
    return found


def missing(versions: Mapping[str, str] | None = None, *, training: bool = False) -> list[str]:
    """Return the requirements that are not fulfilled, such as ``"nibabel>=5.2"``.

    Parameters
    ----------
    versions
        As returned by `installed`, which is the default.
    training
        Whether to include the requirements of training, PyTorch among them.
    """
    versions = installed() if versions is None else versions
    extra = [TORCH, *TRAINING_REQUIREMENTS] if training else []
    needed = [*extra, *REQUIREMENTS, PACKAGE]
    return [one for one in needed if not _fulfilled(one, versions)]


def describe_download(wanted: Sequence[str], folder: Path | None = None) -> str:
    """Describe what will be installed, and the size of the download."""
    if not wanted:
        return "All required packages are installed."
    if folder is not None:
        wheels = list(folder.glob("*.whl"))
        size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
        return (
            f"Installs from {len(wheels)} wheels ({size:.0f} MB) in {folder.name}, without "
            f"internet access: {', '.join(wanted)}."
        )
    torch = any(name.startswith("torch") for name in wanted)
    ours = PACKAGE_MB if PACKAGE in wanted else 0
    others = REQUIREMENTS_MB if len(wanted) > torch + bool(ours) else 0
    parts = [f"PyTorch by Slicer's extension PyTorch ({TORCH_MB})"] if torch else []
    parts += [f"{others + ours} MB of other packages"] if others + ours else []
    return (
        f"Downloads {' and '.join(parts)}: {', '.join(wanted)}. "
        f"Packages of Slicer are not replaced.{'' if torch else ' ' + TRAINING_HINT}"
    )


def install(
    folder: Path | None = None,
    *,
    training: bool = False,
    pip_install: Callable[[Sequence[str], Path], None] = compat.pip_install,
    install_torch: Callable[[str], None] = compat.install_torch,
    check: Callable[[], None] | None = None,
    log: Callable[[str], None] = lambda _line: None,
    get_installed: Callable[[], dict[str, str]] = installed,
) -> None:
    """Install what is missing; after a failure, a second call continues.

    Parameters
    ----------
    folder
        Folder of wheels; None for the package index.
    training
        Whether to install what only training needs, PyTorch among it.
    pip_install, install_torch, get_installed
        As in `compat` and `installed`.
    check
        Called at the end; raises if the package does not start. By default `check_start`.
    log
        Called with a line for each step.

    Raises
    ------
    InstallError
        If a step fails. What was installed before stays.
    """
    before = dict(get_installed())
    wanted = missing(before, training=training)
    options = [] if folder is None else ["--no-index", "--find-links", str(folder)]
    if folder is not None and not any(folder.glob("*.whl")):
        raise InstallError(f"There are no wheels in {folder.name}; choose the folder with them.")
    with tempfile.TemporaryDirectory(prefix="flomo-install-") as scratch:
        constraints = Path(scratch) / "constraints.txt"
        for number, (title, arguments) in enumerate(_steps(wanted, options), 1):
            log(f"Step {number}: {title}")
            constraints.write_text(_pins(get_installed()), encoding="utf-8")
            if arguments is None:
                _attempt(title, partial(install_torch, _split(TORCH)[1]), log)
            else:
                _attempt(title, partial(pip_install, arguments, constraints), log)
    _check_result(before, get_installed(), training)
    _attempt("first start", check or check_start, log)
    log("Done.")


def check_start() -> None:
    """Start the installed package in a child process.

    Raises
    ------
    CalledProcessError, OSError, TimeoutExpired
        If it does not start.
    """
    command = [compat.python_executable(), "-P", "-m", "napari_flomo", "--version"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


class LogFile:
    """A log of the last attempt in a file: lines with their time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Add a line; a full disk does not stop the installation."""
        self.lines.append(f"{datetime.datetime.now():%H:%M:%S} {line}")
        with suppress(OSError):
            self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def _steps(wanted: Sequence[str], options: list[str]) -> list[tuple[str, list[str] | None]]:
    """Return title and pip arguments of each step; None for the PyTorch extension."""
    others = [name for name in wanted if name not in (TORCH, PACKAGE)]
    steps: list[tuple[str, list[str] | None]] = []
    if TORCH in wanted:
        steps.append(("PyTorch", [*options, TORCH] if options else None))
    if others:
        steps.append((", ".join(others), [*options, *others]))
    if PACKAGE in wanted:
        steps.append((PACKAGE, [*options, "--no-deps", PACKAGE]))
    return steps


def _check_result(before: Mapping[str, str], after: Mapping[str, str], training: bool) -> None:
    """Raise if a package of Slicer was changed, or something is still missing."""
    changed = {
        name: f"{name} {before[key]} -> {after.get(key, 'removed')}"
        for name, key in zip(PROTECTED, map(_normalized, PROTECTED), strict=True)
        if key in before and before[key] != after.get(key)
    }
    if changed and list(changed) != ["torch"]:
        raise InstallError(
            f"Packages of Slicer were changed ({', '.join(changed.values())}); install Slicer "
            "again."
        )
    left = missing(after, training=training)
    if left:
        raise InstallError(f"Still missing: {', '.join(left)}; try again and see the log.")


def _attempt(title: str, action: Callable[[], None], log: Callable[[str], None]) -> None:
    try:
        action()
    except Exception as error:
        details = getattr(error, "stderr", b"") or b""
        text = details.decode("utf-8", "replace") if isinstance(details, bytes) else str(details)
        log(f"{title} failed: {type(error).__name__}: {error}\n{text}".rstrip())
        raise InstallError(
            f"{title} could not be installed; see the log, check the internet connection (or "
            "choose a folder of wheels) and try again. Slicer works as before."
        ) from error


def _pins(versions: Mapping[str, str]) -> str:
    """Return the constraints that protect the packages of Slicer."""
    lines = [
        f"{name}=={versions[_normalized(name)].partition('+')[0]}\n"
        for name in PROTECTED
        if _normalized(name) in versions
    ]
    return "".join(lines)


def _fulfilled(requirement: str, versions: Mapping[str, str]) -> bool:
    name, specifier = _split(requirement)
    version = versions.get(_normalized(name))
    if version is None:
        return False
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        from pip._vendor.packaging.specifiers import SpecifierSet  # type: ignore[assignment]
    return SpecifierSet(specifier).contains(version, prereleases=True)


def _split(requirement: str) -> tuple[str, str]:
    """Return name and version specifier of a requirement."""
    name, sign, version = requirement.partition(">=")
    return name, sign + version


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
