"""The extension around the module: CMake, catalogue, resources, size and imports of its files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

TITLED = {"QPushButton", "QCheckBox", "QRadioButton", "QLabel"}
CONTAINERS = {
    "QWidget",
    "QDialog",
    "qMRMLWidget",
    "qMRMLSegmentEditorWidget",
    "ctkCollapsibleButton",
}

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "slicer_extension"
MODULE = EXTENSION / "FLoMoSegmentation"

SLICER = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/empty.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/asked.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/empty.cmake")
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "not understood: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "missing: ${file}")
    endif()
  endforeach()
  message(STATUS "module=${MODULE_NAME}")
  message(STATUS "scripts=${MODULE_SCRIPTS}")
  message(STATUS "resources=${MODULE_RESOURCES}")
endfunction()
function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "SCRIPT" "" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${TEST_SCRIPT}")
    message(FATAL_ERROR "missing: ${TEST_SCRIPT}")
  endif()
  message(STATUS "test=${TEST_SCRIPT}")
endfunction()
"""
ASKED = """
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is missing")
  endif()
endforeach()
message(STATUS "depends=${EXTENSION_DEPENDS}")
"""
# No compiler is needed: the extension is all Python, and the stand-in asks for none.
NO_COMPILER = """
set(CMAKE_C_COMPILER_FORCED ON)
set(CMAKE_CXX_COMPILER_FORCED ON)
set(CMAKE_C_COMPILER "${CMAKE_COMMAND}")
set(CMAKE_CXX_COMPILER "${CMAKE_COMMAND}")
"""


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> dict[str, list[str]]:
    """What CMake says of the extension, with a stand-in for Slicer's own macros."""
    cmake, make = shutil.which("cmake"), shutil.which("ninja") or shutil.which("make")
    if cmake is None or make is None:
        pytest.skip("cmake or make is not installed")
    folder = tmp_path_factory.mktemp("cmake")
    (folder / "SlicerConfig.cmake").write_text(SLICER)
    (folder / "asked.cmake").write_text(ASKED)
    (folder / "empty.cmake").write_text("")
    (folder / "toolchain.cmake").write_text(NO_COMPILER)
    options = [f"-DSlicer_DIR={folder}", f"-DCMAKE_TOOLCHAIN_FILE={folder / 'toolchain.cmake'}"]
    options += ["-DBUILD_TESTING=ON", "-Wdev", "-Werror=dev"]
    command = [cmake, "-S", ROOT, "-B", folder / "build", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, found, value = line.removeprefix("-- ").partition("=")
        if found and name.isalpha():
            said.setdefault(name, []).extend(value.split(";"))
    return said


def test_cmake_configures(configured):
    assert configured["module"] == ["FLoMoSegmentation"]
    assert configured["depends"] == ["PyTorch"]
    assert configured["test"] == ["FLoMoSegmentationProgramTest.py"]


def test_cmake_installs_every_file(configured):
    scripts = {path.relative_to(MODULE).as_posix() for path in MODULE.rglob("*.py")}
    tests = {name for name in scripts if name.startswith("Testing/")}
    assert set(configured["scripts"]) == scripts - tests
    resources = MODULE / "Resources"
    found = {p.relative_to(MODULE).as_posix() for p in resources.rglob("*") if p.is_file()}
    assert set(configured["resources"]) == found


def test_catalogue_entry():
    entry = json.loads((EXTENSION / "FLoMoSegmentation.json").read_text())
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert entry["category"] == "Cardiac", "one of the categories of the catalogue"
    assert entry["build_dependencies"] == ["PyTorch"]
    known = {"$schema", "build_dependencies", "build_subdirectory", "category", "enabled"}
    assert set(entry) <= known | {"scm_revision", "scm_type", "scm_url", "tier"}


def test_the_catalogue_finds_what_it_reads():
    """It builds from the top of the repository, and reads icon and pictures out of the text."""
    text = (ROOT / "CMakeLists.txt").read_text()
    assert re.search(r"project\s*\(\s*([^\s)]+)", text)[1] == "FLoMoSegmentation"
    raw = json.loads((EXTENSION / "FLoMoSegmentation.json").read_text())["scm_url"]
    raw = raw.removesuffix(".git").replace("github.com", "raw.githubusercontent.com") + "/main/"
    for name in ("ICONURL", "SCREENSHOTURLS"):
        urls = re.search(rf'set\s*\(EXTENSION_{name}\s*"([^"]+)"\)', text)[1].split()
        assert urls
        assert all(url.startswith(raw) for url in urls)
        assert all((ROOT / url.removeprefix(raw)).is_file() for url in urls)


def test_the_help_opens_a_page_of_the_site():
    text = (MODULE / "FLoMoSegmentation.py").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = project["urls"]["Documentation"]
    pages = re.findall(rf'href="{re.escape(site)}(\w+)/"', text)
    assert pages
    assert all((ROOT / "docs" / f"{page}.md").is_file() for page in pages)


def test_icons_match_the_script():
    import importlib.util

    import numpy as np
    from matplotlib import image

    spec = importlib.util.spec_from_file_location("draw_icon", EXTENSION / "draw_icon.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, size in (
        (EXTENSION / "FLoMoSegmentation.png", 128),
        (MODULE / "Resources" / "Icons" / "FLoMoSegmentation.png", 64),
    ):
        assert np.array_equal(np.round(image.imread(path) * 255), module.draw(size))


def test_file_length():
    for path in EXTENSION.rglob("*.*"):
        if path.suffix in (".py", ".ui", ".txt", ".json"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


BARE = """
import importlib.metadata as metadata
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("napari_flomo", "flomo_training", "torch", "nibabel"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path[:0] = sys.argv[1:3]
known = metadata.version
def version(name):
    if name in ("napari-flomo", "torch", "nibabel"):
        raise metadata.PackageNotFoundError(name)
    return known(name)
metadata.version = version

import shim
import widget_stubs
program = shim.program()
application = widget_stubs.install()
import FLoMoSegmentation
widget = FLoMoSegmentation.FLoMoSegmentationWidget(widget_stubs.make_parent())
widget.parent.window.show()
widget.setup()
widget.enter()
application.processEvents()
ui = widget.panel.install.ui
assert ui.installBox.wrapped.isVisible()
print(ui.installLine.text)
program.close_scene()
widget.exit()
widget.cleanup()
"""


def test_module_opens_without_the_packages(run_python):
    pytest.importorskip("PySide6.QtUiTools")
    done = run_python("-c", BARE, str(MODULE), str(Path(__file__).parent))
    assert done.returncode == 0, done.stderr
    assert "PyTorch by Slicer's extension" not in done.stdout
    assert "Only training (Learn) needs PyTorch" in done.stdout
    assert "nibabel>=5.2, napari-flomo" in done.stdout


def test_every_control_has_a_name_for_screen_readers():
    silent = []
    for path in sorted((MODULE / "Resources" / "UI").glob("*.ui")):
        for widget in ElementTree.parse(path).iter("widget"):
            known = {one.get("name") for one in widget.findall("property")}
            titled = widget.get("class") in TITLED | CONTAINERS  # some by the module
            if titled or "accessibleName" in known:
                continue
            silent.append(f"{path.name}: {widget.get('name')}")
    assert not silent
