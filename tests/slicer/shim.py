"""Set up slicer-core like the application: a scene, the logics of core modules, ``slicer.app``.

MRML nodes, their logics and ``slicer.util`` are Slicer's own.
"""

from __future__ import annotations

import functools
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
import vtk

VERSION = "5.13.0-slicer-core"

_LOGICS = {
    "volumes": "vtkSlicerVolumesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "colors": "vtkSlicerColorLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
    "tables": "vtkSlicerTablesLogic",
}


@dataclass
class Module:
    """A core module: only its logic."""

    instance: Any

    def logic(self) -> Any:
        return self.instance


class Application:
    """The part of ``slicer.app`` that the module uses."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic
        self.applicationVersion = VERSION
        self.temporaryPath = ""

    def applicationLogic(self) -> Any:
        return self._logic

    def layoutManager(self) -> None:
        return None

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self) -> None:
        pass


@dataclass
class Program:
    """A running Slicer."""

    scene: Any
    application_logic: Any
    kept: list[Any] = field(default_factory=list)

    def close_scene(self) -> None:
        """Close the scene, as File > Close Scene."""
        self.scene.Clear(0)

    def load_volume(self, path: Path, name: str | None = None) -> Any:
        """Load a volume, as File > Add Data."""
        node = slicer.vtkMRMLScalarVolumeNode()
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        storage.SetCenterImage(0)
        assert storage.ReadData(node), path
        node.SetName(name or path.name.partition(".")[0])
        self.scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        return node

    def save(self, node: Any, path: Path) -> None:
        """Save a node, as File > Save."""
        storage = node.CreateDefaultStorageNode()
        storage.SetFileName(str(path))
        assert storage.WriteData(node), path

    def slice_view(self, name: str = "Red") -> tuple[Any, Any]:
        """Return slice and composite node of a view, which are added if missing."""
        node = self.scene.GetNodeByID(f"vtkMRMLSliceNode{name}")
        if node is None:
            node = slicer.vtkMRMLSliceNode()
            node.SetSingletonTag(name)
            node.SetName(name)
            node.SetLayoutName(name)
            node = self.scene.AddNode(node)
            composite = slicer.vtkMRMLSliceCompositeNode()
            composite.SetSingletonTag(name)
            composite.SetLayoutName(name)
            self.scene.AddNode(composite)
        return node, self.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{name}")


@functools.cache
def program() -> Program:
    """Return the program; set it up at the first call."""
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    color = logic.GetColorLogic()
    if color is None:
        color = slicer.vtkMRMLColorLogic()
        logic.SetColorLogic(color)
    color.SetMRMLScene(scene)
    running = Program(scene, logic)
    cache = slicer.vtkCacheManager()
    cache.SetMRMLScene(scene)
    scene.SetCacheManager(cache)
    data_io, data_logic = slicer.vtkDataIOManager(), slicer.vtkDataIOManagerLogic()
    data_io.SetCacheManager(cache)
    scene.SetDataIOManager(data_io)
    data_logic.SetMRMLApplicationLogic(logic)
    data_logic.SetAndObserveDataIOManager(data_io)
    running.kept += [cache, data_io, data_logic]
    modules = types.SimpleNamespace()
    for name, kind in _LOGICS.items():
        instance = getattr(slicer, kind)()
        instance.SetMRMLApplicationLogic(logic)
        instance.SetMRMLScene(scene)
        setattr(modules, name, Module(instance))
        if hasattr(logic, "SetModuleLogic"):
            logic.SetModuleLogic(name.capitalize(), instance)
        running.kept.append(instance)
    slicer.mrmlScene = scene
    slicer.modules = modules
    slicer.app = Application(logic)
    slicer.util.mrmlScene = scene
    running.kept.append(_follow_subject_hierarchy(scene))
    sys.modules["slicer.ScriptedLoadableModule"] = _scripted_modules()
    sys.modules["slicer.i18n"] = _translations()
    return running


def _follow_subject_hierarchy(scene: Any) -> int:
    """Add subject hierarchy items for displayable nodes, as its plugins do."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(_scene: Any, _event: str, node: Any) -> None:
        if node.IsA("vtkMRMLDisplayableNode") and not node.GetHideFromEditors():
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            if not hierarchy.GetItemByDataNode(node):
                hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    return int(scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added))


def _translations() -> types.ModuleType:
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: text
    module.translate = lambda _context, text: text
    return module


def _scripted_modules() -> types.ModuleType:
    """Return the base classes of a scripted module."""
    module = types.ModuleType("slicer.ScriptedLoadableModule")

    class ScriptedLoadableModule:
        def __init__(self, parent: Any) -> None:
            self.parent = parent

        def getDefaultModuleDocumentationLink(self) -> str:
            return ""

    class ScriptedLoadableModuleWidget:
        def __init__(self, parent: Any = None) -> None:
            self.parent = parent
            self.layout = parent.layout() if parent is not None else None

        def setup(self) -> None:
            pass

        def resourcePath(self, name: str) -> str:
            folder = Path(sys.modules[type(self).__module__].__file__ or "").parent
            return str(folder / "Resources" / name)

    class ScriptedLoadableModuleLogic:
        moduleName = "FLoMoSegmentation"

        def __init__(self, parent: Any = None) -> None:
            self.parent = parent

        def getParameterNode(self) -> Any:
            found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if found is None:
                found = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
                found.UnRegister(None)
                found.SetSingletonTag(self.moduleName)
                found.SetName(self.moduleName)
                found = slicer.mrmlScene.AddNode(found)
            return found

    class ScriptedLoadableModuleTest:
        def delayDisplay(self, message: str, *_args: Any, **_options: Any) -> None:
            print(message)

    for one in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(module, one.__name__, one)
    return module


def matrix(rows: Any) -> vtk.vtkMatrix4x4:
    """Return a 4x4 array as a ``vtkMatrix4x4``."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy([float(value) for row in rows for value in row])
    return result
