"""Every module has a caller, every imported library is declared and every declared one imported."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from import_graph import imports, is_third_party, modules
from packaging.requirements import Requirement

IMPORT_NAMES = {
    "scikit-image": "skimage",
    "huggingface-hub": "huggingface_hub",
    "pillow": "PIL",
    "pynrrd": "nrrd",
    "pyyaml": "yaml",
    "simpleitk": "SimpleITK",
}
"""Import names that are not the name of the distribution."""

HOSTS_BRING = {"slicer", "ctk", "qt", "vtk", "vispy", "PyTorchUtils", "npe2", "pip"}
"""What 3D Slicer and napari bring, and no index of packages."""

USED_BY_NAME = {
    "tensorboard": "the logger of Lightning writes its files",
    "cryptography": "Dask's encrypted connections",
    "onnx": "torch's exporter",
}
"""Declared without an import of ours, and why."""

ENTRIES = {"napari_flomo.__main__", "napari_flomo.cli"}


def declared(repository: Path) -> set[str]:
    """Return the import names of all dependencies that users install."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = list(project["dependencies"])
    for extra in ("torch", "train", "napari", "fast", "cohort", "dicom"):
        wanted += extras[extra]
    names = {Requirement(line).name.lower() for line in wanted} - {project["name"]}
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_every_imported_library_is_declared(repository: Path) -> None:
    there = declared(repository) | HOSTS_BRING
    missing = [
        str(one)
        for one in imports(repository)
        if is_third_party(one.module) and one.module.partition(".")[0] not in there
    ]
    assert not missing, "\n".join(missing)


def test_every_declared_library_is_imported(repository: Path) -> None:
    used = {one.module.partition(".")[0] for one in imports(repository)}
    unused = declared(repository) - used - set(USED_BY_NAME)
    assert not unused, f"declared, but not imported: {sorted(unused)}"


def test_every_module_has_a_caller(repository: Path) -> None:
    """Tests do not count; what napari's manifest and scripts name does."""
    manifest = (repository / "napari_flomo" / "napari.yaml").read_text()
    scripts = [*(repository / "training" / "benchmarks").glob("*.py")]
    scripts += (repository / "docs").glob("*.py")
    scripts += (repository / "slicer_extension" / "FLoMoSegmentation").glob("*.py")
    text = manifest + "\n".join(path.read_text() for path in scripts)
    commands = modules(repository)["flomo_training.cli"].read_text()
    called = {one.module for one in imports(repository) if one.module != one.importer}
    idle = [
        module
        for module, path in modules(repository).items()
        if path.name != "__init__.py" and module not in called | ENTRIES
        if not re.search(rf"\b{re.escape(module)}\b", text) and not _imported_in(text, module)
        if f'"{module.removeprefix("flomo_training.")}.' not in commands
    ]
    assert not idle, f"nobody imports {', '.join(idle)}"


def _imported_in(text: str, module: str) -> bool:
    package, _, name = module.rpartition(".")
    return re.search(rf"from {re.escape(package)} import [^\n]*\b{name}\b", text) is not None
