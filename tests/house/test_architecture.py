"""Rules between packages: the table of docs/architecture.md, checked on the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from import_graph import (
    ROOTS,
    Import,
    imports,
    is_ours,
    is_third_party,
    modules,
    package_of,
    public_names,
)

HOSTS = {"napari", "qtpy", "PySide6", "PySide2", "PyQt6", "PyQt5", "magicgui", "superqt", "vispy"}
HOSTS |= {"slicer", "ctk", "qt", "vtk"}
VIEWERS = {"widgets", "slicer_extension"}

HEAVY = {"torch", "lightning", "monai"}
STARTS_WITH_TORCH = {"networks", "flomo_training"}

SENTENCE = 4
"""Words from which on a text is a sentence, not a label such as ``Segment``."""


def reject(broken: Iterable[Import]) -> None:
    """Fail if there are imports that break a rule."""
    lines = [str(one) for one in broken]
    assert not lines, "\n".join(lines)


def allowed(repository: Path) -> dict[str, set[str]]:
    """Return the packages that each package may import, as the table of the docs says.

    Rows read ``| `package` | ... | `package`, `package` |``; ``base`` stands for the modules that
    the row of that name lists.
    """
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    base: set[str] = set()
    for line in text.split("## Dependencies")[1].split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or "`" not in cells[0]:
            continue
        packages = [name.removesuffix(".py") for name in re.findall(r"`([\w.]+)`", cells[0])]
        if cells[0].startswith("base"):
            base = set(packages)
        for package in packages:
            found[package] = set(re.findall(r"`([\w.]+)`", cells[2]))
            if re.search(r"\bbase\b", cells[2]):
                found[package] |= base
    return found


def diagram(table: dict[str, set[str]]) -> str:
    """Return the table as a Mermaid flow chart, without base modules and implied arrows."""
    base = table["errors"]
    above = {package: needs - base for package, needs in table.items() if package not in base}
    for part in ("commands", "jobs.worker_main"):  # shown as `cli` and `jobs.tasks`
        above.pop(part)

    def reachable(package: str) -> set[str]:
        return above[package].union(*(reachable(other) for other in above[package]))

    arrows = [
        f"    {package} --> {other}"
        for package, needs in above.items()
        for other in sorted(needs)
        if not any(other in reachable(between) for between in needs)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```"])


def test_the_diagram_is_drawn_from_the_table(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    expected = diagram(allowed(repository))
    assert expected in text, f"put this into docs/architecture.md:\n{expected}"


def test_walks_name_existing_functions(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = text.split("## Walks")[1].split("\n## ")[0]
    names = re.findall(r"^\d+\. `([\w.]+)`$", walks, re.M)
    assert len(names) > 60
    missing = [name for name in names if not _is_defined(name, modules(repository))]
    assert not missing, f"not in the source: {', '.join(missing)}"


def _is_defined(name: str, ours: dict[str, Path]) -> bool:
    """Return True if a name, relative to ``napari_flomo``, is a function or a method."""
    full = name if name.startswith("flomo_training.") else f"napari_flomo.{name}"
    module = max((one for one in ours if full.startswith(f"{one}.")), key=len)
    body: list[ast.stmt] = ast.parse(ours[module].read_text(encoding="utf-8")).body
    for part in full.removeprefix(f"{module}.").split("."):
        kinds = (ast.FunctionDef, ast.ClassDef)
        found = [one for one in body if isinstance(one, kinds) and one.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def test_imports_follow_the_table(repository: Path) -> None:
    table = allowed(repository)
    unknown = {package_of(module) for module in modules(repository)} - {*table, "napari_flomo"}
    assert not unknown, f"packages that are not in the table: {unknown}"
    reject(
        one
        for one in imports(repository)
        if is_ours(one.module) and package_of(one.module) != package_of(one.importer)
        if package_of(one.module) not in table[package_of(one.importer)]
        if one.module != "napari_flomo"
    )


def test_packages_use_each_other_by_their_public_names(repository: Path) -> None:
    """A name of another package is imported from that package, which lists it in ``__all__``."""
    ours = modules(repository)
    faces = {module for module, path in ours.items() if path.name == "__init__.py"}
    broken = []
    for one in imports(repository):
        module, names = one.module, one.names
        if not is_ours(module) or package_of(module) == package_of(one.importer):
            continue
        if (module.count(".") == 1 and module not in faces) or package_of(module) == "jobs.tasks":
            continue  # a module that is a package of its own
        if module not in faces:  # from package import module
            module, _, name = module.rpartition(".")
            names = (name,)
        public = public_names(ours[module])
        if module not in faces or (public is not None and not set(names) <= public):
            broken.append(one)
    reject(broken)


def test_no_import_cycles(repository: Path) -> None:
    """Imports inside functions and for type checkers count as well."""
    graph: dict[str, set[str]] = {module: set() for module in modules(repository)}
    for one in imports(repository):
        if one.module in graph and one.module != one.importer:
            graph[one.importer].add(one.module)
    assert not cycles(graph), "\n".join(" -> ".join(cycle) for cycle in cycles(graph))


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return a shortest cycle through each module that is part of one, each cycle once."""
    found = {}
    for start in graph:
        paths = [[start]]
        seen = {start}
        while paths:
            path = paths.pop(0)
            if start in graph[path[-1]]:
                found.setdefault(frozenset(path), [*path, start])
                break
            for following in sorted(graph[path[-1]] - seen):
                seen.add(following)
                paths.append([*path, following])
    return list(found.values())


def test_only_viewers_import_viewers(repository: Path) -> None:
    reject(
        one
        for one in imports(repository)
        if one.module.partition(".")[0] in HOSTS and package_of(one.importer) not in VIEWERS
    )


def test_heavy_libraries_are_imported_late(repository: Path) -> None:
    reject(
        one
        for one in imports(repository)
        if one.at_start and one.module.partition(".")[0] in HEAVY
        if package_of(one.importer) not in STARTS_WITH_TORCH
    )


def test_jobs_needs_the_standard_library_alone(repository: Path) -> None:
    reject(
        one
        for one in imports(repository)
        if one.importer.startswith("napari_flomo.jobs") and one.at_start
        if is_third_party(one.module)
    )


def test_the_command_starts_light(repository: Path) -> None:
    light = {"cli", "errors", "files", "paths", "progress", "tables", "napari_flomo"}
    reject(
        one
        for one in imports(repository)
        if package_of(one.importer) == "cli" and one.at_start
        if is_third_party(one.module)
        or (is_ours(one.module) and package_of(one.module) not in light)
    )


def test_no_sentence_is_written_in_both_viewers(repository: Path) -> None:
    napari = texts_in(repository / ROOTS["napari_flomo"] / "widgets")
    slicer = texts_in(repository / "slicer_extension")
    assert not napari & slicer, "\n".join(sorted(napari & slicer))


def texts_in(folder: Path) -> set[str]:
    """Return the sentences that users may see: in code, except docstrings, and in .ui files."""
    found = set()
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found |= {
            node.value.strip()
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in plain
        }
    for path in folder.rglob("*.ui"):
        found |= set(re.findall(r"<string>(.*?)</string>", path.read_text(encoding="utf-8"), re.S))
    return {text for text in found if len(text.split()) >= SENTENCE}


@pytest.mark.parametrize(
    ("name", "source", "rule"),
    [
        (
            "volumes/a.py",
            "def f():\n    from napari_flomo.models import load\n",
            "follow_the_table",
        ),
        ("cli.py", "from napari_flomo.volumes.nifti import read\n", "public_names"),
        ("volumes/a.py", "def f():\n    import napari.layers\n", "only_viewers"),
        ("models/a.py", "try:\n    import torch\nexcept ImportError:\n    pass\n", "heavy"),
        ("jobs/a.py", "import numpy\n", "standard_library"),
        ("commands/a.py", "import numpy\n", "starts_light"),
        (
            "volumes/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from napari_flomo.volumes.b import c\n",
            "no_import_cycles",
        ),
        ("widgets/a.py", "text = 'This text is everywhere.'\n", "both_viewers"),
    ],
)
def test_the_rules_can_fail(repository: Path, tmp_path: Path, name: str, source: str, rule: str):
    """Each rule rejects a small project that breaks it, and accepts it without that file."""
    files = {
        "docs/architecture.md": (repository / "docs" / "architecture.md").read_text(),
        "napari_flomo/volumes/b.py": "def f():\n    from napari_flomo.volumes.a import d\n",
        "napari_flomo/volumes/__init__.py": "__all__ = []\n",
        "slicer_extension/a.py": "text = 'This text is everywhere.'\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (check,) = (
        test for title, test in globals().items() if title.startswith("test_") and rule in title
    )
    check(tmp_path)
    offender = tmp_path / "napari_flomo" / name
    offender.parent.mkdir(parents=True, exist_ok=True)
    offender.write_text(source)
    modules.cache_clear()
    imports.cache_clear()
    with pytest.raises(AssertionError):
        check(tmp_path)
