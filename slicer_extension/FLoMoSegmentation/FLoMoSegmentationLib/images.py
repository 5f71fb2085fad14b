"""Images of the scene as volumes: nodes in, `Volume` out, on the very same grid.

MRML counts millimetres in RAS and indices as column, row, slice; arrays of its volumes are indexed
slices, rows, columns. `Geometry` does the arithmetic of both conventions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from napari_flomo.volumes import Geometry, Volume

CHOSEN_AXIS = "FLoMo.SliceAxis"
"""Attribute of a node: along which axis the user said that the slices lie."""

RIGID = 1e-4
"""How far a parent transform may be from a pure rotation and shift."""


@dataclass(frozen=True)
class Source:
    """An image of the scene.

    Attributes
    ----------
    node
        The volume that the slice views show; of a cine, the frame that is on the screen.
    sequence
        All frames of a cine; None for a single stack.
    browser
        What plays the cine; None for a single stack.
    """

    node: Any
    sequence: Any = None
    browser: Any = None

    @property
    def n_frames(self) -> int:
        """Number of frames; 1 for a single stack."""
        return 1 if self.sequence is None else int(self.sequence.GetNumberOfDataNodes())

    @property
    def frame(self) -> int:
        """The frame on the screen, counted from 0."""
        return 0 if self.browser is None else max(int(self.browser.GetSelectedItemNumber()), 0)

    @property
    def frames(self) -> list[Any]:
        """The volume node of each frame."""
        if self.sequence is None:
            return [self.node]
        return [self.sequence.GetNthDataNode(index) for index in range(self.n_frames)]

    @property
    def holder(self) -> Any:
        """The node that stands for the whole image: of a cine, the sequence."""
        return self.node if self.sequence is None else self.sequence

    @property
    def slice_axis(self) -> str | None:
        """The slice axis that the user chose; None if not chosen."""
        return self.holder.GetAttribute(CHOSEN_AXIS) or None

    @property
    def state(self) -> tuple[Any, ...]:
        """Something that changes when voxels, grid or slice axis of the image change."""
        grids = tuple(ijk_to_ras(self.node).ravel().round(6).tolist())
        times = tuple(node.GetImageData().GetMTime() for node in self.frames)
        return (self.slice_axis, *grids, *times)


def source_of(node: Any) -> Source:
    """Find out what image a node stands for: itself, or the cine that it is part of.

    Raises
    ------
    FlomoError
        If it is no image that can be segmented.
    """
    if node is None:
        raise FlomoError("No image is chosen; load one and choose it.")
    if node.IsA("vtkMRMLSequenceNode"):
        return _source_of_sequence(node)
    _check_kind(node)
    browser, sequence = cine_of(node)
    return Source(node, sequence, browser)


def cine_of(node: Any) -> tuple[Any, Any]:
    """Return browser and sequence of which a volume shows one frame; None and None without."""
    for browser in _nodes("vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(node)
        if sequence is not None and sequence.GetNumberOfDataNodes() > 1:
            return browser, sequence
    return None, None


def volume_of(source: Source) -> Volume:
    """Return an image with its geometry, in its own space: a parent transform is left out.

    Returns
    -------
    Volume
        A copy of the voxels: ``([frames,] slices, rows, columns[, channels])``, whatever the order
        of the node, which ``storage`` tells. Its ``source`` is what `patient_token` gives, and no
        name, because names of nodes are often those of patients.

    Raises
    ------
    FlomoError
        If there are no voxels, frames differ in grid, values are not finite, or a parent transform
        stretches or bends the image.
    """
    from napari_flomo.volumes import Volume, arrange, fill_background

    check_transform(source.node)
    arrays = [_voxels(node) for node in source.frames]
    grids = [ijk_to_ras(node) for node in source.frames]
    on_screen = ijk_to_ras(source.node)
    shape, colour = arrays[0].shape, source.node.IsA("vtkMRMLVectorVolumeNode")
    for array, grid in zip(arrays, grids, strict=True):
        if array.shape != shape or not np.allclose(grid, on_screen, rtol=0, atol=1e-4):
            raise FlomoError(
                f"The frames of {source.node.GetName()} lie on different grids; resample the "
                "sequence to one of them first."
            )
    axes: tuple[str, ...] = ("slices", "rows", "columns")
    if source.sequence is not None:
        axes = ("frames", *axes)
    if colour:
        axes = (*axes, "channels")
    data = arrays[0].copy() if source.sequence is None else np.stack(arrays)
    volume = Volume(
        data,
        geometry_of(source.node),
        axes,
        modality="photo" if colour else None,
        source=patient_token(source),
    )
    if not colour:
        volume = arrange(volume, source.slice_axis)
    return fill_background(volume, source.node.GetName())


def patient_token(source: Source) -> str:
    """Return what stands for the patient of an image that came from DICOM; else empty.

    Images of one patient must not be split between training and test. The store of corrections
    keeps a salted hash of this one, which is itself a hash and never leaves the program.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for node in (source.node, source.sequence):
        item = 0 if node is None else hierarchy.GetItemByDataNode(node)
        patient = item and hierarchy.GetItemAncestorAtLevel(item, "Patient")
        if patient:
            known = hierarchy.GetItemAttribute(patient, "DICOM.PatientID")
            known = known or hierarchy.GetItemUID(patient, "DICOM")
            if known:
                return f"patient-{hashlib.sha256(known.encode()).hexdigest()[:16]}"
    return ""


def geometry_of(node: Any) -> Geometry:
    """Return the grid of a volume node, in its own space.

    A photo that was loaded without millimetres has a step of 1 everywhere; nothing on it may be
    called a millimetre.
    """
    from dataclasses import replace

    from napari_flomo.volumes import Geometry

    geometry = Geometry.from_affine_ras(ijk_to_ras(node))
    unknown = node.IsA("vtkMRMLVectorVolumeNode") and geometry.spacing == (1.0, 1.0, 1.0)
    return replace(geometry, spacing_known=False) if unknown else geometry


def ijk_to_ras(node: Any) -> NDArray[np.float64]:
    """Return the 4x4 matrix from index (column, row, slice, 1) to RAS mm, without any parent."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return array_of(matrix)


def ijk_to_world(node: Any) -> NDArray[np.float64]:
    """Return the 4x4 matrix from index to what the views show, parent transforms included."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return ijk_to_ras(node)
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return array_of(matrix) @ ijk_to_ras(node)


def check_transform(node: Any) -> None:
    """Raise if a parent transform changes more than place and direction.

    A rotation or a shift (a registration) changes nothing of what a network sees: results are put
    under the same transform. A stretch changes millimetres, so it must become part of the image.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return
    rigid = bool(parent.IsTransformToWorldLinear())
    if rigid:
        matrix = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(matrix)
        linear = array_of(matrix)[:3, :3]
        rigid = np.allclose(linear.T @ linear, np.eye(3), rtol=0, atol=RIGID)
    if not rigid:
        raise FlomoError(
            f"The transform {parent.GetName()} stretches or bends {node.GetName()}; harden it "
            "(Data module, right click on the transform) or take the image out of it."
        )


def describe(source: Source) -> str:
    """Describe an image in one line; reads no voxels."""
    from FLoMoSegmentationLib.axes import layout_of  # which imports this module
    from napari_flomo.session import messages

    extent = source.node.GetImageData()
    if extent is None:
        return f"{source.node.GetName()} has no voxels."
    n_frames = source.n_frames if source.n_frames > 1 else None
    parts = [messages.layout_text(layout_of(source), n_frames)]
    parent = source.node.GetParentTransformNode()
    if parent is not None:
        parts.append(f"moved by {parent.GetName()}")
    return ", ".join(parts)


def array_of(matrix: Any) -> NDArray[np.float64]:
    """Return a VTK matrix as an array."""
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def matrix_of(array: NDArray[np.floating]) -> Any:
    """Return a 4x4 array as VTK has it."""
    matrix = vtk.vtkMatrix4x4()
    for i in range(4):
        for j in range(4):
            matrix.SetElement(i, j, float(array[i, j]))
    return matrix


def _source_of_sequence(sequence: Any) -> Source:
    first = sequence.GetNthDataNode(0) if sequence.GetNumberOfDataNodes() else None
    if first is None:
        raise FlomoError(f"The sequence {sequence.GetName()} is empty; choose another.")
    for browser in _nodes("vtkMRMLSequenceBrowserNode"):
        node = browser.GetProxyNode(sequence)
        if node is not None:
            _check_kind(node)
            return Source(node, sequence, browser)
    raise FlomoError(
        f"The sequence {sequence.GetName()} is not shown; open it in the Sequences module first."
    )


def _check_kind(node: Any) -> None:
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise FlomoError(f"{node.GetName()} is no image; choose a volume or a sequence of volumes.")
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise FlomoError(f"{node.GetName()} is a label map; choose the image it was drawn on.")
    if node.IsA("vtkMRMLTensorVolumeNode") and not node.IsA("vtkMRMLVectorVolumeNode"):
        raise FlomoError(f"{node.GetName()} holds tensors; choose a volume of grey values.")
    if node.GetImageData() is None or node.GetImageData().GetPointData().GetScalars() is None:
        raise FlomoError(f"{node.GetName()} has no voxels; load it again or choose another.")


def _voxels(node: Any) -> NDArray[Any]:
    _check_kind(node)
    array: NDArray[Any] = slicer.util.arrayFromVolume(node)
    return array


def _nodes(kind: str) -> list[Any]:
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(i, kind) for i in range(scene.GetNumberOfNodesByClass(kind))]
