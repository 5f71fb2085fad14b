"""What both viewers show stands in the session, once."""

from __future__ import annotations

import ast
from pathlib import Path

VIEWERS = ("napari_flomo/widgets", "slicer_extension/FLoMoSegmentation")
SHORTEST = 12
"""Shorter texts are words of the user interface, names of settings or of Qt."""


def sentences(folder: Path) -> dict[str, str]:
    """Return the texts with several words in the modules of a folder, and where they stand."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.strip()
                if len(text) > SHORTEST and " " in text and id(node) not in docstrings | statements:
                    found[text] = f"{path.name}:{node.lineno}"
    return found


def test_no_sentence_stands_in_both_viewers(repository: Path) -> None:
    napari, slicer = (sentences(repository / folder) for folder in VIEWERS)
    assert len(napari) > 20
    assert len(slicer) > 20
    twice = {text: (napari[text], slicer[text]) for text in napari.keys() & slicer.keys()}
    assert not twice, "put these into napari_flomo/session/messages.py"
