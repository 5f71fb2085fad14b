"""The examples of the gallery run as they are, and write the pictures that the gallery shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = {
    "segment_and_plot": ("mass of the wall", "matplotlib"),
    "learn_from_five_slices": ("wrong pixels in", "torch"),
    "review_a_cohort": ("3 studies, 0 failed", "matplotlib"),
}
"""What each prints, and what it needs besides the package."""


def test_every_example_is_in_the_gallery(repository: Path) -> None:
    scripts = {path.stem for path in (repository / "docs" / "examples").glob("*.py")}
    assert scripts == set(EXAMPLES)
    gallery = (repository / "docs" / "gallery.md").read_text(encoding="utf-8")
    for name in scripts:
        assert f"docs/examples/{name}.py" in gallery
        assert f"(pictures/examples/{name}.png)" in gallery


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, repository: Path, tmp_path: Path) -> None:
    printed, library = EXAMPLES[name]
    pytest.importorskip(library)
    script = repository / "docs" / "examples" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, script, "picture.png"],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    picture = Image.open(tmp_path / "picture.png").convert("RGB")
    shown = Image.open(repository / "docs" / "pictures" / "examples" / f"{name}.png")
    assert picture.size == shown.size
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 500, "an empty picture"
