"""What the installed distribution holds; the automatic check installs the real wheel."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

DISTRIBUTION = "napari-flomo"


@pytest.fixture(scope="module")
def installed() -> set[str]:
    """The files of the installed wheel, by their paths in site-packages."""
    for distribution in importlib.metadata.distributions(name=DISTRIBUTION):
        names = {path.as_posix() for path in distribution.files or []}
        if distribution.read_text("RECORD") and "napari_flomo/__init__.py" in names:
            return names
    pytest.skip("no wheel is installed here (an editable install has nothing to look into)")


def test_every_source_is_in(installed: set[str], repository: Path) -> None:
    for root in (repository, repository / "training"):
        for package in ("napari_flomo", "flomo_training"):
            wanted = {path.relative_to(root).as_posix() for path in (root / package).rglob("*.py")}
            assert wanted <= installed, wanted - installed


def test_what_is_not_python_is_in(installed: set[str], repository: Path) -> None:
    named = ("napari_flomo/py.typed", "flomo_training/py.typed", "napari_flomo/models/index.json")
    assert {*named, "napari_flomo/napari.yaml"} <= installed
    samples = (repository / "napari_flomo" / "samples").glob("*")
    assert {path.relative_to(repository).as_posix() for path in samples} <= installed
    training = repository / "training"
    recipes = (training / "flomo_training").rglob("*.yaml")
    assert {path.relative_to(training).as_posix() for path in recipes} <= installed
    bundled = repository / "napari_flomo" / "models" / "bundled"
    wanted = {
        path.relative_to(repository).as_posix() for path in bundled.rglob("*") if path.is_file()
    }
    assert wanted <= installed, wanted - installed
    assert any(name.endswith("licenses/LICENSE") for name in installed)


def test_nothing_else_is_in(installed: set[str]) -> None:
    expected = ("napari_flomo/", "flomo_training/", "napari_flomo-", "../../../bin/flomo")
    strangers = [name for name in installed if not name.startswith(expected)]
    assert not [name for name in strangers if "Scripts/" not in name]


def test_entry_points(installed: set[str]) -> None:
    assert installed
    points = importlib.metadata.distribution(DISTRIBUTION).entry_points
    assert {point.name: point.value for point in points} == {
        "flomo": "napari_flomo.cli:main",
        DISTRIBUTION: "napari_flomo:napari.yaml",
    }
