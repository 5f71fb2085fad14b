"""The documentation site; its build, a step of .ci/run, checks links and every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from import_graph import modules, public_names


@pytest.fixture(scope="module")
def pages(repository: Path) -> set[str]:
    """Return the pages in the navigation of the site."""
    text = (repository / "mkdocs.yml").read_text(encoding="utf-8")
    return set(re.findall(r"- (?:[^:\n]+: )?(\S+\.md)$", text, re.M))


def test_the_reference_has_every_face(repository: Path, pages: set[str]) -> None:
    faces = [
        module.removeprefix("napari_flomo.")
        for module, path in modules(repository).items()
        if path.name == "__init__.py" and public_names(path)
    ]
    assert "volumes" in faces
    missing = [module for module in faces if f"api/{module}.md" not in pages]
    assert not missing, f"put them into the navigation of mkdocs.yml: {missing}"


def test_the_navigation_has_every_page(repository: Path, pages: set[str]) -> None:
    docs = repository / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    missing = there - pages - {"samples/README.md"}
    assert "index.md" in there
    assert not missing, f"put them into the navigation of mkdocs.yml: {sorted(missing)}"
