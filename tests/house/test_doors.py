"""Who may import whom: the house rules of docs/architecture.md, checked on the source itself.

Imports anywhere in a module count, also those inside functions; only ``TYPE_CHECKING`` blocks may
be skipped by the rule on heavy packages, because they are never run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FLOOR = {
    "schema",
    "napari_flomo",
    "errors",
    "files",
    "paths",
    "progress",
    "tables",
}  # what every room but networks stands on

# room -> rooms it may import; a dotted name opens a single module of a room.
DOORS: dict[str, set[str]] = {
    "napari_flomo": set(),
    "errors": set(),
    "files": {"errors", "paths"},
    "paths": set(),
    "progress": set(),
    "tables": set(),
    "schema": {"errors", "tables"},
    "networks": set(),
    "volumes": FLOOR,
    "models": FLOOR | {"networks"},
    "segmentation": FLOOR | {"volumes", "networks", "models"},
    "measures": FLOOR | {"volumes", "models"},
    "corrections": FLOOR | {"volumes", "models"},
    "jobs": FLOOR,
    "jobs.tasks": FLOOR | {"volumes", "models", "segmentation", "jobs", "flomo_training"},
    "cohorts": FLOOR | {"volumes", "models", "segmentation", "measures"},
    "session": FLOOR | {"volumes", "models", "segmentation", "measures", "corrections", "jobs"},
    "flomo_training": FLOOR
    | {"volumes", "networks", "models", "segmentation", "measures", "corrections", "jobs"},
    "cli": FLOOR
    | {"volumes", "networks", "models", "segmentation", "measures", "corrections", "jobs"}
    | {"jobs.tasks", "session", "cohorts", "flomo_training"},
    "widgets": FLOOR | {"volumes", "networks", "models", "segmentation", "measures", "session"},
    "slicer_extension": FLOOR | {"volumes", "models", "segmentation", "measures", "session"},
}
# Parts of a room that lie elsewhere. The host never imports the child's side of jobs.
ROOM_OF = {"commands": "cli", "__main__": "cli"}
ROOM_OF |= {"jobs.tasks": "jobs.tasks", "jobs.worker_main": "jobs.tasks"}

HOSTS = {"napari", "qtpy", "PySide6", "PySide2", "PyQt6", "PyQt5", "magicgui", "superqt", "vtk"}
HOSTS |= {"slicer", "ctk", "qt", "vispy"}
ROOMS_WITH_A_SCREEN = {"widgets", "slicer_extension"}

HEAVY = {"torch", "lightning", "monai"}
HEAVY_AT_THE_TOP = ("napari_flomo/networks/", "training/")

# Third parties, where a room is strict; MONAI builds the baseline network, on demand.
ONLY = {"networks": {"torch", "numpy", "monai"}, "jobs": set()}


@dataclass(frozen=True)
class Import:
    """One imported module and where it stands."""

    module: str
    where: str
    at_the_top: bool
    for_types_only: bool


def sources(repository: Path) -> list[Path]:
    roots = [repository / "napari_flomo", repository / "training" / "flomo_training"]
    roots.append(repository / "slicer_extension" / "FLoMoSegmentation")
    found = [path for root in roots for path in sorted(root.rglob("*.py"))]
    assert len(found) > 20, "the sources were not found"
    return found


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path: Path, repository: Path) -> Iterator[Import]:
    """Yield every import of a file, with ``from package import module`` told from names."""

    def walk(node: ast.AST, top: bool, types: bool) -> Iterator[Import]:
        where = f"{path.relative_to(repository)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, where, top, types)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}: relative import"
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", where, top, types)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield Import(str(node.args[0].value), where, False, types)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, top and not inside, types or is_type_checking(node))

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True, False)


def room_of_module(module: str) -> str | None:
    """Return the room of one of our modules; None for a third party."""
    package, *rest = module.split(".")
    if package == "flomo_training":
        return "flomo_training"
    if package != "napari_flomo":
        return None
    name = rest[0] if rest else "napari_flomo"
    name = ROOM_OF.get(".".join(rest[:2]), ROOM_OF.get(name, name))
    return name if name in DOORS else "napari_flomo"  # a name such as __version__


def room_of_file(path: Path, repository: Path) -> str:
    relative = path.relative_to(repository).with_suffix("")
    if relative.parts[0] == "training":
        return "flomo_training"
    if relative.parts[0] == "slicer_extension":
        return "slicer_extension"
    name = relative.parts[1]
    if name == "__init__":
        return "napari_flomo"
    return ROOM_OF.get(".".join(relative.parts[1:3]), ROOM_OF.get(name, name))


def is_open(room: str, module: str) -> bool:
    """Tell whether a file of ``room`` may import ``module``."""
    target = room_of_module(module)
    if target is None or target == room or target in DOORS[room]:
        return True
    inner = module.removeprefix("napari_flomo.")
    doors = [door for door in DOORS[room] if "." in door and door not in DOORS]
    return any(inner == door or inner.startswith(f"{door}.") for door in doors)


def is_third_party(module: str) -> bool:
    package = module.partition(".")[0]
    return package not in sys.stdlib_module_names and room_of_module(module) is None


def test_every_room_is_on_the_plan(repository: Path) -> None:
    rooms = {room_of_file(path, repository) for path in sources(repository)}
    assert rooms <= set(DOORS), f"rooms without doors: {rooms - set(DOORS)}"


def test_doors(repository: Path) -> None:
    broken = [
        f"{found.where}: {room} may not import {found.module}"
        for path in sources(repository)
        for room in [room_of_file(path, repository)]
        for found in imports(path, repository)
        if not is_open(room, found.module)
    ]
    assert not broken, "\n".join(broken)


def test_only_the_widgets_know_a_screen(repository: Path) -> None:
    broken = [
        f"{found.where}: {found.module}"
        for path in sources(repository)
        if room_of_file(path, repository) not in ROOMS_WITH_A_SCREEN
        for found in imports(path, repository)
        if found.module.partition(".")[0] in HOSTS
    ]
    assert not broken, "\n".join(broken)


def test_heavy_packages_wait(repository: Path) -> None:
    broken = [
        f"{found.where}: {found.module}"
        for path in sources(repository)
        if not path.relative_to(repository).as_posix().startswith(HEAVY_AT_THE_TOP)
        for found in imports(path, repository)
        if found.at_the_top and not found.for_types_only and found.module.partition(".")[0] in HEAVY
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("room", sorted(ONLY))
def test_strict_rooms_use_few_packages(repository: Path, room: str) -> None:
    broken = [
        f"{found.where}: {found.module}"
        for path in sources(repository)
        if room_of_file(path, repository) == room
        for found in imports(path, repository)
        if is_third_party(found.module) and found.module.partition(".")[0] not in ONLY[room]
    ]
    assert not broken, "\n".join(broken)


def test_cli_opens_the_other_rooms_lazily(repository: Path) -> None:
    light = FLOOR | {"cli"}
    broken = [
        f"{found.where}: {found.module}"
        for path in sources(repository)
        if room_of_file(path, repository) == "cli"
        for found in imports(path, repository)
        if found.at_the_top and not found.for_types_only
        if is_third_party(found.module) or room_of_module(found.module) not in light | {None}
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("def f():\n    from napari_flomo.segmentation import Segmenter\n", test_doors),
        ("import napari_flomo.commands.segment\n", test_doors),
        ("def f():\n    import napari.layers\n", test_only_the_widgets_know_a_screen),
        ("try:\n    import torch\nexcept ImportError:\n    pass\n", test_heavy_packages_wait),
        ("class A:\n    from torch import nn\n", test_heavy_packages_wait),
    ],
)
def test_the_rules_catch_offenders(tmp_path: Path, source: str, rule: object) -> None:
    """The rules themselves can fail: each is shown a file that breaks it."""
    for number in range(25):
        harmless = tmp_path / "napari_flomo" / "volumes" / f"module{number}.py"
        harmless.parent.mkdir(parents=True, exist_ok=True)
        harmless.write_text("import numpy\nfrom typing import TYPE_CHECKING\n")
    assert callable(rule)
    rule(tmp_path)
    harmless.write_text(source)
    with pytest.raises(AssertionError, match="module24"):
        rule(tmp_path)
