"""The installer with a fake pip, and its requirements against the package metadata."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
import slicer
from FLoMoSegmentationLib import compat, installer
from FLoMoSegmentationLib.installer import InstallError
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SLICER = {"numpy": "2.1.0", "simpleitk": "2.5.0", "requests": "2.32.0", "vtk": "9.4.0"}
TORCH = {"torch": "2.7.1+cu126"}
ALL = {
    **SLICER,
    **TORCH,
    "napari-flomo": "0.1.0",
    **{installer._normalized(Requirement(one).name): "9999.0" for one in installer.REQUIREMENTS},
}


class Python:
    """Installed packages, and a pip that changes them."""

    def __init__(self, there: dict[str, str], fail: str = "", replace: str = "") -> None:
        self.there = dict(there)
        self.calls: list[list[str]] = []
        self.pins: list[str] = []
        self.fail = fail
        self.replace = replace
        self.torch: list[str] = []

    def pip(self, arguments, constraints=None) -> None:
        self.calls.append(list(arguments))
        self.pins.append(constraints.read_text())
        for one in arguments:
            if one.startswith("-") or "/" in one:
                continue
            name = installer._normalized(re.split("[><=]", one)[0])
            if name == self.fail:
                raise subprocess.CalledProcessError(1, "pip", stderr=b"no matching distribution")
            self.there[name] = "9999.0"
        if self.replace:
            self.there[self.replace] = "66.0"

    def install_torch(self, requirement: str) -> None:
        self.torch.append(requirement)
        self.there["torch"] = "2.9.0"

    def install(self, folder=None, **options):
        log: list[str] = []
        options = {"check": lambda: None, "log": log.append, **options}
        try:
            installer.install(
                folder,
                pip_install=self.pip,
                install_torch=self.install_torch,
                get_installed=lambda: self.there,
                **options,
            )
        finally:
            self.log = log


def test_requirements_match_the_package_metadata():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def normalized(requirements) -> set[tuple[str, str]]:
        found = [Requirement(one) for one in requirements]
        return {(installer._normalized(one.name), str(one.specifier)) for one in found}

    dependencies, extras = project["dependencies"], project["optional-dependencies"]
    protected = {installer._normalized(name) for name in installer.PROTECTED}
    needed = normalized([*dependencies, *extras["report"]])
    wanted = {one for one in needed if one[0] not in protected}
    assert normalized(installer.REQUIREMENTS) == wanted
    training = normalized(one for one in extras["train"] if one != "napari-flomo[torch]")
    assert normalized(installer.TRAINING_REQUIREMENTS) == training - wanted
    assert normalized([installer.TORCH]) == normalized(extras["torch"])
    assert project["name"] == installer.PACKAGE


def test_missing():
    assert installer.missing(ALL) == []
    old = installer.missing({**ALL, "torch": "1.13"}, training=True)
    assert "torch>=2.4" in old
    assert installer.missing({**ALL, "nibabel": "4.0"}) == ["nibabel>=5.2"]
    assert "monai>=1.4" in installer.missing(ALL, training=True)
    assert "torch>=2.4" not in installer.missing(SLICER)
    assert installer.missing() == [], "of the Python that runs this test"


def test_installs_everything_and_keeps_packages_of_slicer():
    python = Python(SLICER)
    python.install()
    assert python.torch == [], "only training needs PyTorch"
    others, ours = python.calls
    assert others == list(installer.REQUIREMENTS)
    assert ours == ["--no-deps", "napari-flomo"]
    for pins in python.pins:
        assert {"numpy==2.1.0", "SimpleITK==2.5.0"} <= set(pins.split())
    named = " ".join(map(str, python.calls)).lower()
    for name in installer.PROTECTED:
        assert f"'{name.lower()}" not in named
    assert installer.missing(python.there) == []
    assert python.log[-1] == "Done."


def test_training_adds_pytorch_by_its_extension():
    python = Python(SLICER)
    python.install()
    python.install(training=True)
    assert python.torch == [">=2.4"], "not by pip"
    assert python.calls[2:] == [list(installer.TRAINING_REQUIREMENTS)]
    assert "torch==2.9.0" in python.pins[2].split()
    assert installer.missing(python.there, training=True) == []


def test_reports_an_old_python(monkeypatch):
    assert installer.too_old() == ""
    assert installer.too_old((3, 11)) == ""
    assert "this Slicer has 3.9; use Slicer 5.10 or newer" in installer.too_old((3, 9))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">={}.{}".format(*installer.PYTHON)


def test_modules_parse_in_an_old_python():
    folder = ROOT / "slicer_extension" / "FLoMoSegmentation"
    names = ("compat", "installer", "panels/install", "widget", "parameters", "uncertainty")
    library = [folder / "FLoMoSegmentationLib" / f"{name}.py" for name in names]
    for path in (folder / "FLoMoSegmentation.py", *library):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        assert "from __future__ import annotations" in path.read_text()
        assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


def test_does_not_call_pip_if_nothing_is_missing():
    python = Python(ALL)
    python.install()
    assert python.calls == []
    assert python.torch == []


def test_installs_offline_from_wheels(tmp_path):
    (tmp_path / "napari_flomo-0.1.0-py3-none-any.whl").write_bytes(b"x" * 2_000_000)
    python = Python(SLICER)
    python.install(tmp_path)
    assert python.torch == []
    for call in python.calls:
        assert call[:3] == ["--no-index", "--find-links", str(tmp_path)]
    assert python.calls[0][3:] == list(installer.REQUIREMENTS)
    said = installer.describe_download(installer.missing(SLICER), tmp_path)
    assert "1 wheels (2 MB)" in said
    assert str(tmp_path.parent) not in said
    with pytest.raises(InstallError, match="no wheels"):
        Python(SLICER).install(tmp_path / "..")


def test_failure_is_one_sentence_and_can_be_retried():
    python = Python(SLICER, fail="nibabel")
    with pytest.raises(InstallError, match=r"try again\. Slicer works as before"):
        python.install()
    assert any("no matching distribution" in line for line in python.log)
    python.fail = ""
    python.install()
    assert installer.missing(python.there) == []


def test_reports_a_replaced_package_of_slicer():
    with pytest.raises(InstallError, match=r"numpy 2\.1\.0 -> 66\.0"):
        Python(SLICER, replace="numpy").install()


def test_reports_a_package_that_does_not_start():
    def check():
        raise subprocess.CalledProcessError(1, "PythonSlicer", stderr=b"ImportError: DLL")

    python = Python(ALL)
    with pytest.raises(InstallError, match="first start"):
        python.install(check=check)
    assert any("ImportError: DLL" in line for line in python.log)


def test_check_start():
    installer.check_start()


def test_reports_a_missing_pytorch_extension():
    with pytest.raises(RuntimeError, match="Extensions Manager"):
        compat.install_torch(">=2.4")
    python = Python(SLICER)
    with pytest.raises(InstallError, match="PyTorch could not be installed"):
        installer.install(
            training=True,
            pip_install=python.pip,
            install_torch=compat.install_torch,
            get_installed=lambda: python.there,
            log=print,
        )


def test_pip_install_of_older_and_newer_slicer(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(slicer.util, "pip_install", calls.append)
    pins = tmp_path / "pins.txt"
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    compat.pip_install(["scipy>=1.11"], pins)
    newer = types.ModuleType("slicer.packaging")
    newer.pip_install = lambda line, requester: calls.append((line, requester))
    monkeypatch.setitem(sys.modules, "slicer.packaging", newer)
    compat.pip_install(["scipy>=1.11"], pins)
    line = ["scipy>=1.11", "--constraint", str(pins)]
    assert calls == [line, (line, "FLoMo Segmentation")]


def test_log_ignores_a_full_disk(tmp_path, monkeypatch):
    log = installer.LogFile(tmp_path / "log.txt")
    log("one")
    assert "one" in (tmp_path / "log.txt").read_text()
    monkeypatch.setattr(Path, "write_text", lambda *_a, **_k: (_ for _ in ()).throw(OSError(28)))
    log("two")
    assert log.lines[-1].endswith("two")


def test_install_panel(program, monkeypatch, tmp_path):
    pytest.importorskip("PySide6.QtUiTools")
    import widget_stubs
    from FLoMoSegmentationLib.panels.install import InstallPanel

    widget_stubs.install()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    folder = ROOT / "slicer_extension" / "FLoMoSegmentation" / "Resources" / "UI"
    page = widget_stubs.load_ui(str(folder / "Install.ui"))
    ui = widget_stubs.child_widgets(page)
    left, done, tried = ["nibabel>=5.2"], [], []

    def install(given, log):
        tried.append(given)
        log("Step 1")
        if len(tried) == 1:
            raise InstallError("It did not work; try again.")
        left.clear()

    panel = InstallPanel(ui, lambda: done.append(True), install, lambda: list(left))
    page.wrapped.show()
    assert "nibabel" in ui.installLine.text
    ui.installButton.wrapped.click()
    assert ui.installLine.text == "It did not work; try again."
    assert ui.installButton.text == "Try again"
    assert "Step 1" in ui.installLog.wrapped.toPlainText()
    assert (tmp_path / "FLoMo-install.log").is_file()
    assert done == []
    ui.wheelFolder.wrapped.line.setText(str(tmp_path))
    ui.installButton.wrapped.click()
    assert tried == [None, tmp_path]
    assert done == [True]
    assert not ui.installBox.wrapped.isVisible()
    assert panel.folder == tmp_path
