"""Everything that differs between Slicer 5.8 and 5.13, and nothing else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer


def slicer_version() -> tuple[int, ...]:
    """Return the program's version; empty where it is not known."""
    text = str(getattr(slicer.app, "applicationVersion", ""))
    numbers = text.partition("-")[0].split(".")
    return tuple(int(number) for number in numbers if number.isdecimal())


def version_text() -> str:
    """Return the program's version without the date of its build, for a report."""
    return ".".join(map(str, slicer_version())) or "unknown"


def pip_install(arguments: Sequence[str], constraints: Path | None = None) -> None:
    """Run ``pip install`` in the program's Python and wait; only in the main thread.

    From 5.12 on a dialog shows pip's lines and keeps the windows alive; before that the lines go to
    the Python console and the windows wait.

    Parameters
    ----------
    arguments
        As on a command line, after ``pip install``.
    constraints
        A file of versions that must stay as they are.

    Raises
    ------
    Exception
        Whatever the program raises when pip fails: ``CalledProcessError`` in all versions so far.
    """
    line = list(arguments) + (["--constraint", str(constraints)] if constraints else [])
    try:
        from slicer.packaging import pip_install as newer
    except ImportError:
        slicer.util.pip_install(line)
    else:
        newer(line, requester="FLoMo Segmentation")


def install_torch(requirement: str) -> None:
    """Install PyTorch by Slicer's own extension, which knows the graphics card.

    Raises
    ------
    RuntimeError
        If the extension is not there, or nothing was installed.
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
    """Return the Python that runs this program's packages outside of it.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    found = shutil.which("PythonSlicer")
    if found is None and "python" in Path(sys.executable).name.lower():
        found = sys.executable  # the module runs in a plain Python, as its tests do
    if found is None:
        raise FileNotFoundError("PythonSlicer")
    return found


def set_terminology(segment: Any, entry: str) -> None:
    """Give a segment its coded term; 5.9 brought a method for it."""
    if hasattr(segment, "SetTerminology"):
        segment.SetTerminology(entry)
    else:
        segment.SetTag(segment.GetTerminologyEntryTagName(), entry)


def terminology(segment: Any) -> str:
    """Return the coded term of a segment as Slicer writes it; empty without one."""
    if hasattr(segment, "GetTerminology"):
        return str(segment.GetTerminology())
    text = _tag(segment, segment.GetTerminologyEntryTagName())
    return text or ""


def save_for_undo(scene: Any, editor: Any | None) -> bool:
    """Save the labels for Undo; return True if that worked.

    The Segment Editor has an undo of its own, for the segmentation that is open in it. Its state
    was saved by the widget before there was a logic for it, and undo of the scene is off by
    default.
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


def _logic_of(editor: Any | None) -> Any | None:
    logic = getattr(editor, "logic", None)
    return logic() if callable(logic) else logic


def _tag(segment: Any, name: str) -> str | None:
    """Return a tag of a segment; in C++ the value comes back by reference."""
    from vtk import reference

    value = reference("")
    return str(value.get()) if segment.GetTag(name, value) else None
