"""The documentation site; its build, a step of .ci/run, checks links and every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from import_graph import modules, public_names


@pytest.fixture(scope="module")
def pages(repository: Path) -> list[str]:
    """Return the pages in the navigation of the site."""
    text = (repository / "mkdocs.yml").read_text(encoding="utf-8")
    return re.findall(r"- (?:[^:\n]+: )?(\S+\.md)$", text, re.M)


def test_the_reference_has_every_face(repository: Path, pages: list[str]) -> None:
    faces = [
        module.removeprefix("napari_flomo.")
        for module, path in modules(repository).items()
        if path.name == "__init__.py" and public_names(path)
    ]
    assert "volumes" in faces
    missing = [module for module in faces if f"api/{module}.md" not in pages]
    assert not missing, f"put them into the navigation of mkdocs.yml: {missing}"


def test_the_navigation_has_every_page_once(repository: Path, pages: list[str]) -> None:
    docs = repository / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    missing = there - set(pages) - {"samples/README.md"}
    assert "index.md" in there
    assert len(set(pages)) == len(pages)
    assert not missing, f"put them into the navigation of mkdocs.yml: {sorted(missing)}"
