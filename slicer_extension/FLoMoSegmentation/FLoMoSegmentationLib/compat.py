"""Differences between Slicer 5.8 and 5.13."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer


def version_text() -> str:
    """Return Slicer's version without the build date."""
    return str(slicer.app.applicationVersion).partition("-")[0] or "unknown"


def pip_install(arguments: Sequence[str], constraints: Path | None = None) -> None:
    """Run ``pip install`` in Slicer's Python and wait; only in the main thread.

    Since 5.12 a dialog shows the output of pip; older versions block the user interface.

    Parameters
    ----------
    arguments
        Command line arguments after ``pip install``.
    constraints
        A constraints file.

    Raises
    ------
    CalledProcessError
        If pip fails.
    """
    line = list(arguments) + (["--constraint", str(constraints)] if constraints else [])
    try:
        from slicer.packaging import pip_install as newer
    except ImportError:
        slicer.util.pip_install(line)
    else:
        newer(line, requester="FLoMo Segmentation")


def install_torch(requirement: str) -> None:
    """Install PyTorch with Slicer's PyTorch extension, which selects the build for the GPU.

    Raises
    ------
    RuntimeError
        If the extension is missing, or nothing was installed.
    """
    try:
        import PyTorchUtils
    except ImportError as error:
        raise RuntimeError(
            "the extension PyTorch is missing: install it in the Extensions Manager and restart "
            "Slicer"
        ) from error
    logic = PyTorchUtils.PyTorchUtilsLogic()
    if logic.installTorch(askConfirmation=False, torchVersionRequirement=requirement) is None:
        raise RuntimeError("PyTorch was not installed")


def python_executable() -> str:
    """Return the path of PythonSlicer, which runs Slicer's Python outside the application.

    Raises
    ------
    FileNotFoundError
        If it is not found.
    """
    found = shutil.which("PythonSlicer")
    if found is None and "python" in Path(sys.executable).name.lower():
        found = sys.executable  # outside the application, as in tests
    if found is None:
        raise FileNotFoundError("PythonSlicer")
    return found


def set_terminology(segment: Any, scene_image: str) -> None:
    """Set the terminology entry of a segment; there is a method for it since 5.9."""
    if hasattr(segment, "SetTerminology"):
        segment.SetTerminology(scene_image)
    else:
        segment.SetTag(segment.GetTerminologyEntryTagName(), scene_image)


def terminology(segment: Any) -> str:
    """Return the serialized terminology entry of a segment; empty without one."""
    if hasattr(segment, "GetTerminology"):
        return str(segment.GetTerminology())
    return tag(segment, segment.GetTerminologyEntryTagName())


def tag(segment: Any, name: str) -> str:
    """Return a tag of a segment; empty without one. In C++ the value comes back by reference."""
    from vtk import reference

    value = reference("")
    return str(value.get()) if segment.GetTag(name, value) else ""


def save_for_undo(scene: Any, editor: Any | None) -> bool:
    """Save the labels for Undo of the Segment Editor or the scene; return True if saved.

    The state is saved by the editor widget or, in newer versions, by its logic. Undo of the scene
    is off by default.
    """
    for holder in (editor, _logic_of(editor)):
        for name in ("saveStateForUndo", "SaveStateForUndo"):
            save = getattr(holder, name, None)
            if save is not None:
                save()
                return True
    if hasattr(scene, "SaveStateForUndo") and scene.GetUndoFlag():
        scene.SaveStateForUndo()
        return True
    return False


def effect_name(editor: Any) -> str:
    """Return the name of the active effect of the Segment Editor; empty without one."""
    effect = editor.activeEffect()
    return "" if effect is None else str(effect.name)


def pixel_ratio(widget: Any) -> float:
    """Return how many pixels of the screen are one of a widget; 1 if Qt does not tell."""
    ratio = getattr(widget, "devicePixelRatioF", 1.0)
    return float(ratio() if callable(ratio) else ratio)


def _logic_of(editor: Any | None) -> Any | None:
    logic = getattr(editor, "logic", None)
    return logic() if callable(logic) else logic
