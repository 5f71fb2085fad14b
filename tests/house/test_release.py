"""The script that prepares a release, in a small repository."""

from __future__ import annotations

import importlib.util
import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

CHANGELOG = "# Changelog\n\n## Unreleased\n\n- A new thing.\n\n## 0.1.0 (2026-01-01)\n\n- All.\n"


@pytest.fixture(scope="module")
def release(repository: Path) -> ModuleType:
    """Import the script."""
    path = repository / "training" / "release.py"
    spec = importlib.util.spec_from_file_location("release", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, repository: Path, release: ModuleType) -> Path:
    """Copy what a release changes."""
    for name in release.PLACES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_version_is_stated_alike(release: ModuleType, repository: Path) -> None:
    from napari_flomo import __version__

    assert release.current_version(repository) == __version__


def test_version_and_changelog_of_a_release(release: ModuleType, project: Path) -> None:
    text = release.moved(CHANGELOG, "7.8.9", "2031-02-03")
    (project / "CHANGELOG.md").write_text(text)
    release.set_version(project, "7.8.9", "2031-02-03")
    release.set_version(project, "7.8.9", "2031-02-03")  # not two dates
    assert release.current_version(project) == "7.8.9"
    citation = (project / "CITATION.cff").read_text()
    assert citation.count("date-released: 2031-02-03") == 1
    assert "cff-version: 1.2.0" in citation
    assert "## 7.8.9 (2031-02-03)\n\n- A new thing.\n\n## 0.1.0" in text
    assert release.section(text, "Unreleased") == ""
    assert release.section(text, "7.8.9") == "- A new thing."
    assert release.main(["--check", "v7.8.9"], project) == 0


@pytest.mark.parametrize(
    ("version", "message"),
    [("v2", "is not a version"), ("0.1.0", "has a section"), ("0.3.0", "nothing is unreleased")],
)
def test_refused(release: ModuleType, version: str, message: str) -> None:
    changelog = CHANGELOG.replace("- A new thing.\n", "") if version == "0.3.0" else CHANGELOG
    with pytest.raises(ValueError, match=message):
        release.moved(changelog, version, "2031-02-03")


@pytest.mark.parametrize("tag", ["v0.0.1", "0.1.0", "v0.1.0.post1"])
def test_another_tag(
    release: ModuleType, project: Path, tag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    release.set_version(project, "0.1.0", "2031-02-03")
    assert release.main(["--check", tag], project) == 2
    assert f"the tag {tag} is not v0.1.0" in capsys.readouterr().err


def test_sizes_of_a_wheel(release: ModuleType, tmp_path: Path) -> None:
    wheel, page = tmp_path / "a.whl", tmp_path / "page.md"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("napari_flomo/samples/a.nii.gz", bytes(1_500_000))
        archive.writestr("napari_flomo/models/bundled/b/model.onnx", bytes(2_500_000))
    page.write_text("<!-- sizes -->\nold\n<!-- end of sizes -->\n")
    release.write_sizes(page, release.sizes(wheel))
    text = page.read_text()
    assert "| sample images | 1.5 MB |" in text
    assert "PyTorch | 2.5 MB |" in text
    assert "| **the wheel** | **4.0 MB** |" in text
    assert "old" not in text
