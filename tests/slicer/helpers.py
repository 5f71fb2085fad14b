"""Add images to Slicer's scene, paint on them, and wait for a run."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import shim
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from napari_flomo.volumes import Geometry, Volume


def oblique_heart(slices: int = 4, rows: int = 36, columns: int = 44, seed: int = 0) -> Volume:
    row, column = np.mgrid[:rows, :columns]
    radius = np.hypot((row - rows * 0.45), (column - columns * 0.6))
    image = 40 + np.random.default_rng(seed).normal(0, 3, (slices, rows, columns))
    image[:, radius < 12] += 60
    image[:, radius < 8] += 100
    image[0] = 40  # an empty first slice makes the order visible
    turned = rotation(0.4, -0.7, 1.1) @ np.diag([1, 1, -1])
    geometry = Geometry((1.25, 1.5, 8.0), (-12.5, 40.0, 7.25), tuple(turned.ravel().tolist()))
    return Volume(image.clip(0).astype(np.int16), geometry)


def cine_of(heart: Volume, frames: int = 3) -> Volume:
    data = np.stack([heart.data + 10 * number for number in range(frames)])
    return Volume(data, heart.geometry, ("frames", *heart.axes))


def right_handed(volume: Volume) -> Volume:
    """Return a volume with its slice axis reversed."""
    axes = volume.geometry.direction_matrix @ np.diag([1, 1, -1])
    return replace(
        volume, geometry=replace(volume.geometry, direction=tuple(axes.ravel().tolist()))
    )


def save_and_load(program: Any, path: Any, name: str) -> Any:
    """Save the scene, close it, load it again and return a volume node by name."""
    assert slicer.mrmlScene.WriteToMRB(str(path))
    program.close_scene()
    program.slice_view("Red")
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    return slicer.util.getFirstNodeByName(name, "vtkMRMLScalarVolumeNode")


def rotation(a: float, b: float, c: float) -> np.ndarray:
    """Return the rotation about x, y and z, in this order."""
    x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(z) @ np.array(y) @ np.array(x)


def add_volume(volume: Volume, name: str = "heart") -> Any:
    """Add a stack to the scene."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(shim.matrix(volume.geometry.affine_ras()))
    slicer.util.updateVolumeFromArray(node, volume.data)
    node.CreateDefaultDisplayNodes()
    return node


def add_cine(volume: Volume, name: str = "cine") -> tuple[Any, Any, Any]:
    """Add a cine to the scene; return its proxy volume, sequence and browser."""
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("ms")
    for number, frame in enumerate(volume.data):
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetIJKToRASMatrix(shim.matrix(volume.geometry.affine_ras()))
        slicer.util.updateVolumeFromArray(node, frame)
        sequence.SetDataNodeAtValue(node, str(30 * number))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.SetSelectedItemNumber(0)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser.GetProxyNode(sequence), sequence, browser


def paint(node: Any, code: int, where: np.ndarray, reference: Any) -> None:
    """Paint with the logic of the Segment Editor.

    Parameters
    ----------
    where
        Booleans ``(slices, rows, columns)`` on the grid of ``reference``.
    """
    from FLoMoSegmentationLib.images import ijk_to_ras, matrix_of
    from FLoMoSegmentationLib.segment_nodes import segment_id

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*where.shape[::-1])
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = where.ravel()
    image.SetGeometryFromImageToWorldMatrix(matrix_of(ijk_to_ras(reference)))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segmentation = node.GetSegmentation()
    others = [one for one in segmentation.GetSegmentIDs() if one != segment_id(code)]
    old = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id(code), reference)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] |= old.ravel() > 0
    assert logic.SetBinaryLabelmapToSegment(
        image, node, segment_id(code), logic.MODE_REPLACE, image.GetExtent(), False, others
    )


def corner(shape: tuple[int, ...], number: int, size: int = 4) -> np.ndarray:
    """Return a mask ``(slices, rows, columns)`` of a corner of a slice."""
    where = np.zeros(shape[-3:], bool)
    where[number, :size, :size] = True
    return where


def finish(logic: Any, seconds: float = 60) -> None:
    """Drain the queue until nothing runs."""
    end = time.monotonic() + seconds
    while logic.session.running is not None:
        assert time.monotonic() < end, "the run did not end"
        logic.queue.drain()


def expected(volume: Volume) -> np.ndarray:
    """Return the labels of the toy model."""
    return np.where(volume.data > 150, 3, np.where(volume.data > 80, 2, 0))


def run(logic: Any, node: Any, scope: str = "all", model: str = "toy") -> Any:
    """Segment an image and return its `SceneImage`."""
    logic.segment(node, model, "cpu", scope)
    finish(logic)
    return logic.images.of(node)


def restore(logic: Any) -> Any:
    """Restore the latest unsaved work and return its `SceneImage`; None if that fails."""
    from napari_flomo.session.unsaved import unsaved_work

    restoring = logic.presenter.unsaved.restore(unsaved_work()[0])
    end = time.monotonic() + 60
    while not restoring.ended:
        assert time.monotonic() < end, "the restore did not end"
        logic.queue.drain()
    return None if restoring.key is None else logic.images.with_key(restoring.key)


def autosave_of(logic: Any, scene_image: Any) -> Any:
    """Return the autosave of an image; None if nothing is unsaved."""
    return logic.session.image(scene_image.key).autosave


def painted(logic: Any, scene_image: Any, frame: int | None = None) -> np.ndarray:
    """Return the labels in the scene: ``(frames, slices, rows, columns)``, or one frame."""
    from FLoMoSegmentationLib import scene_sync

    card = logic.session.image(scene_image.key).segmentation.card
    return scene_sync.read_labels(scene_image.nodes, scene_image.results.segmentation, card, frame)
