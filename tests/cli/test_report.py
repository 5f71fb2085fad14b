"""JSON output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.commands.report import print_json


@dataclass
class Inner:
    name: str
    values: tuple[float, ...]


def test_print_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {
            "array": np.array([[1.5, np.nan], [np.inf, 2.0]], dtype=np.float32),
            "scalar": np.int64(7),
            "path": Path("a") / "b",
            "object": Inner("ü\udcff", (1.0, float("nan"))),
            3: None,
        }
    )
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {
        "array": [[1.5, None], [None, 2.0]],
        "scalar": 7,
        "path": str(Path("a") / "b"),
        "object": {"name": "ü\udcff", "values": [1.0, None]},
        "3": None,
    }


def test_unknown_types() -> None:
    with pytest.raises(TypeError):
        print_json({"a": object()})
