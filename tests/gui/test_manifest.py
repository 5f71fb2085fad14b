"""The manifest: valid, quick to load, and without missing names."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari._qt.widgets.qt_command_palette import QCommandPalette, _command_to_name
from napari._qt.widgets.qt_extension2reader import Extension2ReaderTable
from napari.plugins import _npe2
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_flomo.volumes import WRITABLE
from napari_flomo.widgets.keys import SHORTCUTS

HEAVY = {"torch", "SimpleITK", "nibabel", "scipy", "monai", "huggingface_hub"}


@pytest.fixture
def manifest(repository: Path) -> PluginManifest:
    return PluginManifest.from_file(repository / "napari_flomo" / "napari.yaml")


def test_all_names_in_the_manifest_exist(manifest: PluginManifest) -> None:
    manifest.validate_imports()
    commands = {command.id for command in manifest.contributions.commands}
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name))
    contributed = [
        item.command
        for kind in ("readers", "writers", "widgets", "sample_data")
        for item in getattr(manifest.contributions, kind)
    ]
    menus = [item.command for items in manifest.contributions.menus.values() for item in items]
    assert {*contributed, *menus} <= commands


def test_every_shortcut_is_also_a_command(manifest: PluginManifest) -> None:
    names = {command.python_name for command in manifest.contributions.commands}
    for _key, action, _title in SHORTCUTS:
        assert f"napari_flomo.widgets.keys:{action.__name__}" in names


def test_written_formats_are_writable(manifest: PluginManifest) -> None:
    for writer in manifest.contributions.writers:
        assert set(writer.filename_extensions) <= set(WRITABLE)


@pytest.mark.parametrize(
    "name", ["IM0001", "IM-0001-0001", "DICOMDIR", "MR.1.3.12.2.1107.5", "i1234.MRDCM.1"]
)
def test_dicom_files_for_which_napari_asks_nothing(plugin: Any, name: str) -> None:
    assert set(_npe2.get_readers(f"/study/{name}")) == {"napari-flomo"}
    assert "napari-flomo" not in _npe2.get_readers("/study/photo.1.png")


def test_the_preference_for_folders_in_the_docs(
    open_viewer: Callable[..., Any], qtbot: Any, repository: Path
) -> None:
    get_settings().plugins.extension2reader = {}
    table = Extension2ReaderTable()
    qtbot.addWidget(table)
    qtbot.keyClicks(table._fn_pattern_edit, f"*{os.sep}")
    (add,) = (one for one in table.findChildren(QPushButton) if one.text() == "Add")
    qtbot.mouseClick(add, Qt.MouseButton.LeftButton)
    study = repository / "tests" / "fieldtests" / "_clean" / "cine"
    (layer,) = open_viewer().open(study, plugin=None)  # raises where a dialog would come
    assert layer.name == "MR 300"


def test_the_docs_list_every_shortcut_and_panel(manifest: PluginManifest, repository: Path) -> None:
    page = (repository / "docs" / "napari.md").read_text()
    for key, _action, title in SHORTCUTS:
        assert f"`{key.replace('-', '+')}`" in page, title
    for widget in manifest.contributions.widgets:
        assert widget.display_name in page
    for sample in manifest.contributions.sample_data:
        assert sample.display_name in page


def test_starting_napari_loads_nothing_heavy(
    run_python: Callable[..., subprocess.CompletedProcess[str]], repository: Path
) -> None:
    """What the viewer does with the plugin at its start: read and register the manifest."""
    manifest = repository / "napari_flomo" / "napari.yaml"
    program = (
        "import sys, json\n"
        "from npe2 import PluginManager, PluginManifest\n"
        "before = set(sys.modules)\n"
        f"manifest = PluginManifest.from_file({str(manifest)!r})\n"
        "manager = PluginManager()\n"
        "manager.register(manifest)\n"
        "list(manager.iter_compatible_readers(['heart.nii.gz']))\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    result = run_python("-c", program)
    assert result.returncode == 0, result.stderr
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert not loaded & HEAVY
    assert not any(name.startswith("napari_flomo") for name in loaded)


@pytest.mark.parametrize("panel", ["Segment", "Review", "Models", "Learn"])
def test_opening_a_panel_loads_no_torch(
    run_python: Callable[..., subprocess.CompletedProcess[str]], panel: str
) -> None:
    module = f"napari_flomo.widgets.panels.{panel.lower()}"
    result = run_python("-c", f"import {module}, sys; print('torch' in sys.modules)")
    assert result.stdout.strip() == "False", result.stderr


def test_commands_from_the_palette(bench: Any, make_heart: Callable[..., Any]) -> None:
    """napari hands commands the viewer; ours find their viewer_state by it."""
    from napari_flomo.widgets import keys

    entry = bench.add(make_heart())
    keys.accept(bench.viewer)
    assert "nothing to review yet" in bench.review.message.text.text()
    bench.run()
    keys.toggle_uncertainty(bench.viewer)
    assert entry.uncertainty.visible


@pytest.mark.parametrize("prepared", ["nothing", "image", "labels"])
def test_every_entry_of_the_palette_can_be_clicked(
    bench: Any, make_heart: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, prepared: str
) -> None:
    """A greyed entry can be clicked, too; an exception in Qt would fail this test."""
    for name in ("getOpenFileName", "getExistingDirectory"):  # the user cancels
        monkeypatch.setattr(QFileDialog, name, lambda *_args, **_options: ("", ""))
    notes: list[str] = []
    monkeypatch.setattr(notification_manager, "dispatch", lambda note: notes.append(note.message))
    if prepared != "nothing":
        bench.add(make_heart())
    if prepared == "labels":
        bench.run()
    palette = QCommandPalette(bench.viewer.window._qt_window)
    ours = [one for one in palette._list.all_commands if one.id.startswith("napari-flomo.")]
    assert len(ours) >= 20
    for key, action, _title in SHORTCUTS:
        (title,) = (one.title for one in ours if one.id == f"napari-flomo.{action.__name__}")
        assert f"[{key.replace('-', '+')}]" in title
    for command in ours:
        palette.show()
        palette._line.setText(_command_to_name(command))
        row = list(palette._list.iter_command()).index(command)
        at = palette._list.visualRect(palette._list.model().index(row)).center()
        bench.qtbot.mouseClick(palette._list.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert palette._list.all_commands[0] is command, "it was executed"
    assert {note.partition(" ")[0] for note in notes} >= {"Medical", "Select"}
    palette.close()
