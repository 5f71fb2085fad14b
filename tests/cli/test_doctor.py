"""``flomo doctor``: findings and problems."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import models
from napari_flomo.commands import examination
from napari_flomo.commands.extras import APPROXIMATE_MB
from napari_flomo.errors import FlomoError

Flomo = Callable[..., tuple[str, str]]
Findings = Callable[..., dict[str, Any]]


@pytest.fixture
def findings(answer: Callable[..., dict[str, Any]]) -> Findings:
    """Run ``flomo doctor --json``."""
    return partial(answer, "doctor")


@pytest.fixture(autouse=True)
def one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the default model, intact."""
    name = examination.DEFAULT_MODEL
    monkeypatch.setattr(models, "available", lambda: [name])
    monkeypatch.setattr(models, "locate", lambda name: Path("shelf") / name)
    monkeypatch.setattr(models, "open_model", lambda name: None)
    monkeypatch.setattr(models, "load_network", lambda name: None)


def test_ready(findings: Findings, flomo: Flomo) -> None:
    found = findings()
    assert found["can_segment"]
    assert found["torch"]["version"] == importlib.metadata.version("torch")
    assert {"eager", "openvino"} <= set(found["engines"]["usable"])
    assert found["torch"]["device"] in ("cpu", "cuda")
    assert found["computer"]["cores"] >= 1
    assert Path(found["cache"]["folder"]).is_absolute()
    name = examination.DEFAULT_MODEL
    folder = str(Path("shelf") / name)
    assert found["models"] == [{"name": name, "folder": folder, "verified": True}]
    assert flomo("doctor")[0].endswith("=> ready to segment\n")


def test_what_extras_add(monkeypatch: pytest.MonkeyPatch, findings: Findings, flomo: Flomo) -> None:
    """Those installed are measured; of the others a size measured before is shown."""
    found = findings()
    extras, sizes = found["extras"], found["megabytes"]
    assert list(extras) == list(APPROXIMATE_MB) == [name for name in sizes if name != "base"]
    installed = [name for name, there in extras.items() if there]
    assert {"torch", "fast", "dicom"} <= set(installed)
    assert sizes["all"] < sum(sizes[name] for name in extras if name != "all"), "counted twice"
    for name in installed:
        # A GPU's libraries are larger, and other systems' wheels differ.
        assert sizes[name] > 0.5 * APPROXIMATE_MB[name], name

    def distribution(name: str) -> importlib.metadata.Distribution:
        if name in ("torch", "sympy"):
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.Distribution.from_name(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    text = flomo("doctor")[0]
    assert f"  torch: not installed, about {APPROXIMATE_MB['torch']} MB\n" in text
    assert f"  train: not installed, about {APPROXIMATE_MB['train']} MB\n" in text
    assert f"  dicom: installed, {sizes['dicom']} MB\n" in text
    assert f"add to the {sizes['base']} MB of the base\n" in text


def test_damaged_weights(monkeypatch: pytest.MonkeyPatch, findings: Findings, flomo: Flomo) -> None:
    def damaged(name: str) -> None:
        raise FlomoError(f"The weights of {name} are damaged; get the model again.")

    monkeypatch.setattr(models, "load_network", damaged)
    found = findings(code=2)
    assert not found["can_segment"]
    assert any("are damaged; get the model again" in problem for problem in found["problems"])
    out = flomo("doctor", code=2)[0]
    assert "NOT usable" in out
    assert "problem: The weights of" in out


def test_missing_package(monkeypatch: pytest.MonkeyPatch, findings: Findings) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "nibabel":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = findings(code=2)
    assert found["versions"]["nibabel"] is None
    assert "nibabel is missing; install it with: pip install nibabel." in found["problems"]


def test_broken_torch(monkeypatch: pytest.MonkeyPatch, findings: Findings) -> None:
    real = __import__

    def broken(name: str, *rest: object) -> object:
        if name == "torch":
            raise OSError("libtorch.so: cannot open shared object file")
        return real(name, *rest)

    monkeypatch.setattr("builtins.__import__", broken)
    found = findings()  # the bundled model does not need it
    assert found["torch"] is None
    assert "eager" not in found["engines"]["usable"]
    assert any("torch cannot be imported (libtorch.so" in text for text in found["problems"])


def test_little_space(monkeypatch: pytest.MonkeyPatch, findings: Findings) -> None:
    usage = shutil.disk_usage("/")._replace(free=200_000_000)
    monkeypatch.setattr(examination.shutil, "disk_usage", lambda path: usage)
    found = findings()  # what is bundled still works
    assert any(text.startswith("Only 0.2 GB are free") for text in found["problems"])


def test_vector_units(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu avx avx2 avx512f\n")
    assert examination._vector_units(cpuinfo) == ["avx2", "avx512f"]
    assert examination._vector_units(tmp_path / "absent") == []
