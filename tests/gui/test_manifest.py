"""The manifest: valid, quick to load, and without missing names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from npe2 import PluginManifest

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
