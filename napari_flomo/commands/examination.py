"""Collect the findings of ``flomo doctor``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from napari_flomo import DEFAULT_MODEL, __version__
from napari_flomo.commands.extras import extra_sizes
from napari_flomo.errors import FlomoError

PACKAGES = (
    "numpy",
    "openvino",
    "scikit-image",
    "pillow",
    "SimpleITK",
    "nibabel",
    "pydicom",
    "safetensors",
    "huggingface-hub",
    "tqdm",
)
VECTOR_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
FREE_GB_WANTED = 1.0


def examine() -> dict[str, Any]:
    """Check versions, processor, GPU, models and cache.

    Returns plain values only: ``versions``, ``computer``, ``torch`` (None without it), ``engines``,
    ``models``, ``cache``, ``extras`` (whether each is installed), ``megabytes`` (of the base and
    added by each extra), ``problems`` (one sentence each, with what to do) and ``can_segment``.
    """
    problems: list[str] = []
    versions = _versions(problems)
    torch = _torch(problems)
    models = _models(problems, torch is not None)
    cache = _cache(problems)
    has_model = any(model["verified"] for model in models)
    if not has_model:
        problems.append("No usable model was found; reinstall with: pip install napari-flomo.")
    elif not any(model["name"] == DEFAULT_MODEL and model["verified"] for model in models):
        problems.append(
            f"The default model {DEFAULT_MODEL} is not usable; choose another with --model."
        )
    complete = all(versions.values())
    extras, megabytes = extra_sizes()
    return {
        "versions": versions,
        "computer": _computer(),
        "torch": torch,
        "engines": _engines(torch is not None),
        "models": models,
        "cache": cache,
        "extras": extras,
        "megabytes": megabytes,
        "problems": problems,
        "can_segment": bool(complete and has_model),
    }


def _versions(problems: list[str]) -> dict[str, str | None]:
    """Return the installed versions without importing packages."""
    versions: dict[str, str | None] = {
        "napari-flomo": __version__,
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
            problems.append(f"{package} is missing; install it with: pip install {package}.")
    return versions


def _computer() -> dict[str, Any]:
    try:
        cores = len(os.sched_getaffinity(0))  # may be fewer in a container
    except AttributeError:
        cores = os.cpu_count() or 1
    return {
        "system": platform.platform(),
        "cores": cores,
        "vector_units": _vector_units(Path("/proc/cpuinfo")),
    }


def _vector_units(cpuinfo: Path) -> list[str]:
    """Return the vector extensions of the processor that matter for speed, on Linux."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return [flag for flag in VECTOR_FLAGS if flag in flags]


def _torch(problems: list[str]) -> dict[str, Any] | None:
    try:
        import torch
    except Exception as error:
        if importlib.util.find_spec("torch") is not None:
            problems.append(
                f"torch cannot be imported ({error}); reinstall it with: "
                "pip install --force-reinstall torch."
            )
        return None
    from napari_flomo.segmentation import choose_device

    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            gpus.append(f"{properties.name}, {properties.total_memory / 1e9:.0f} GB")
    elif torch.version.cuda and Path("/proc/driver/nvidia").exists():
        problems.append(
            "There is an NVIDIA driver but torch cannot use the GPU; update the driver "
            f"(torch needs CUDA {torch.version.cuda})."
        )
    return {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpus": gpus,
        "device": choose_device("auto"),
    }


def _engines(torch_works: bool) -> dict[str, Any]:
    """Return the engines that can run on the device."""
    from napari_flomo.segmentation import choose_device
    from napari_flomo.segmentation.engines import ENGINES, GRAPH_ENGINES, unavailable_reason

    device = choose_device("auto") if torch_works else "cpu"
    names = list(ENGINES if torch_works else GRAPH_ENGINES)
    return {"usable": [name for name in names if unavailable_reason(ENGINES[name], device) is None]}


def _models(problems: list[str], torch_works: bool) -> list[dict[str, Any]]:
    """Verify card and SHA-256 of every local model and, with PyTorch, load its tensors."""
    from napari_flomo.models import available, load_network, locate, open_model

    models = []
    for name in available():
        try:
            open_model(name)
            if torch_works:
                load_network(name)
            verified = True
        except Exception as error:  # a problem with one must not hide the others
            verified = False
            problems.append(
                str(error)
                if isinstance(error, FlomoError)
                else f"The model {name} cannot be loaded ({error}); reinstall napari-flomo."
            )
        models.append({"name": name, "folder": str(locate(name)), "verified": verified})
    return models


def _cache(problems: list[str]) -> dict[str, Any]:
    """Return the folder of downloaded models and its free space."""
    from napari_flomo.models import cache_folder

    folder = cache_folder()
    present = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free_gb = shutil.disk_usage(present).free / 1e9
    if free_gb < FREE_GB_WANTED:
        problems.append(
            f"Only {free_gb:.1f} GB are free for downloaded models in {folder}; free some space "
            "or set FLOMO_HOME to another disk."
        )
    if not os.access(present, os.W_OK):
        problems.append(
            f"Downloaded models cannot be stored in {folder}; set FLOMO_HOME to a writable folder."
        )
    return {"folder": str(folder), "free_gb": free_gb}
