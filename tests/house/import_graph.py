"""The imports of the source, for the tests of the architecture."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOTS = {
    "napari_flomo": "napari_flomo",
    "flomo_training": "training/flomo_training",
    "FLoMoSegmentationLib": "slicer_extension/FLoMoSegmentation/FLoMoSegmentationLib",
}
"""Import name of each of our packages, and its folder in the repository."""

WORKER = ("jobs.tasks", "jobs.worker_main")
"""The side of `jobs` that runs in the child process; the host never imports it."""


@dataclass(frozen=True)
class Import:
    """One import of a module.

    Attributes
    ----------
    importer
        Module that contains the import.
    module
        Imported module; ``from package import module`` counts as that module.
    names
        Names that are taken from the module; empty for ``import module``.
    line
        Line of the import.
    at_start
        Whether it is executed when the importer is imported: neither in a function nor in a
        ``TYPE_CHECKING`` block.
    """

    importer: str
    module: str
    names: tuple[str, ...]
    line: int
    at_start: bool

    def __str__(self) -> str:
        names = f" ({', '.join(self.names)})" if self.names else ""
        return f"{self.importer}:{self.line} imports {self.module}{names}"


@cache
def modules(repository: Path) -> dict[str, Path]:
    """Return the file of every module of the three packages."""
    found = {}
    for name, folder in ROOTS.items():
        root = repository / folder
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join([name, *parts]).removesuffix(".__init__")] = path
    return found


@cache
def imports(repository: Path) -> tuple[Import, ...]:
    """Return every import of the three packages, those inside functions included."""
    ours = modules(repository)
    return tuple(
        one
        for importer, path in ours.items()
        for one in _imports_of(importer, ast.parse(path.read_text(encoding="utf-8")), ours)
    )


def _imports_of(importer: str, tree: ast.AST, ours: dict[str, Path]) -> Iterator[Import]:
    def walk(node: ast.AST, at_start: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, (), node.lineno, at_start)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}:{node.lineno}: relative import"
            taken = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name, module in taken.items() if module in ours}
            for name in sorted(submodules):
                yield Import(importer, taken[name], (), node.lineno, at_start)
            names = tuple(name for name in taken if name not in submodules)
            if names:
                yield Import(importer, node.module, names, node.lineno, at_start)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield Import(importer, str(node.args[0].value), (), node.lineno, False)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_start and not later)

    yield from walk(tree, True)


def package_of(module: str) -> str:
    """Return the package (or base module) of the architecture that a module belongs to."""
    top, *rest = module.split(".")
    if top == "FLoMoSegmentationLib":
        return "slicer_extension"
    if top != "napari_flomo" or not rest:
        return top
    if ".".join(rest) in WORKER:
        return "jobs.tasks"
    return {"commands": "cli", "__main__": "cli"}.get(rest[0], rest[0])


def is_ours(module: str) -> bool:
    """Return True if a module belongs to this project."""
    return module.partition(".")[0] in ROOTS


def is_third_party(module: str) -> bool:
    """Return True if a module is neither ours nor of the standard library."""
    return not is_ours(module) and module.partition(".")[0] not in sys.stdlib_module_names


def public_names(path: Path) -> set[str] | None:
    """Return ``__all__`` of a module; None if it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None
