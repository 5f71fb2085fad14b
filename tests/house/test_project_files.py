"""Files that GitHub, package indexes and catalogues read agree with the project's metadata."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_flomo import __version__

HOSTS = r"https://(?:github\.com|raw\.githubusercontent\.com|[\w-]+\.github\.io|[\w-]+\.readthedocs\.io)"
OURS = re.compile(rf"{HOSTS}/[^\s\"'<>)\]`]*napari-flomo[^\s\"'<>)\]`]*")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    """Return the table ``[project]``."""
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    """Return the files under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := repository / name)]


def test_one_address(project: dict[str, Any], tracked: list[Path], repository: Path) -> None:
    """Every address of the project begins with one in ``[project.urls]``."""
    urls = project["urls"]
    home = urls["Repository"].removeprefix("https://github.com/")
    known = (
        urls["Repository"],
        urls["Documentation"],
        f"https://raw.githubusercontent.com/{home}/main/",
    )
    assert all(url.startswith(known) for url in urls.values())
    strange, found = [], 0
    for path in tracked:
        if path.suffix in {".png", ".gif", ".gz", ".onnx"} or not path.is_file():
            continue
        for address in OURS.findall(path.read_text(encoding="utf-8", errors="ignore")):
            found += 1
            if not address.startswith(known):
                strange.append(f"{path.relative_to(repository)}: {address}")
    assert found > 10
    assert not strange, "\n".join(strange)


def test_addresses_of_files_exist(
    project: dict[str, Any], tracked: list[Path], repository: Path
) -> None:
    """What catalogues show, by its address in the repository, is there."""
    home = project["urls"]["Repository"].removeprefix("https://github.com/")
    raw = f"https://raw.githubusercontent.com/{home}/main/"
    texts = [path.read_text() for path in tracked if path.name in {"CMakeLists.txt", "README.md"}]
    named = re.findall(rf"{re.escape(raw)}([^\s\")]+)", "\n".join(texts))
    assert named
    assert not [name for name in named if not (repository / name).is_file()]


def test_classifiers_name_the_tested_versions(project: dict[str, Any], repository: Path) -> None:
    path = repository / ".github" / "workflows" / "tests.yml"
    tests = yaml.safe_load(path.read_text(encoding="utf-8"))
    tested = tests["jobs"]["tests"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: 3."
    stated = [name.rpartition(" ")[2] for name in project["classifiers"] if name.startswith(prefix)]
    assert stated == tested
    assert project["requires-python"] == f">={tested[0]}"


def test_the_citation_is_of_this_version(project: dict[str, Any], repository: Path) -> None:
    cited = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(cited["version"]) == __version__
    assert cited["repository-code"] == project["urls"]["Repository"]
    assert cited["url"] == project["urls"]["Documentation"]


def test_the_recipe_of_conda_forge_has_every_dependency(
    project: dict[str, Any], repository: Path
) -> None:
    path = repository / ".github" / "conda-forge" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == __version__
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    stated = {line.replace(" ", "").replace("_", "-") for line in recipe["requirements"]["run"][1:]}
    assert stated == {line.lower() for line in project["dependencies"]}
    assert recipe["about"]["license"] == project["license"]
    assert recipe["about"]["summary"] == project["description"]


@pytest.mark.parametrize("name", ["bug", "feature", "wrong_mask"])
def test_issue_forms(name: str, repository: Path) -> None:
    """GitHub drops a form whose fields lack a label or an identifier, or share one."""
    path = repository / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    identifiers = [field["id"] for field in fields]
    assert len(set(identifiers)) == len(identifiers) > 1
    for field in fields:
        assert field["type"] in {"checkboxes", "dropdown", "input", "textarea"}
        assert field["attributes"]["label"]
        if field["type"] in {"checkboxes", "dropdown"}:
            assert field["attributes"]["options"]
