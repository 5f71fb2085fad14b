"""Convert image nodes of the scene to `Volume` objects on the same grid.

MRML uses RAS millimetres and IJK indices (column, row, slice); the arrays of its volumes are
``(slices, rows, columns)``. `Geometry` converts between the conventions.
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

SLICE_AXIS_ATTRIBUTE = "FLoMo.SliceAxis"
"""Node attribute with the slice axis that the user chose; saved with the scene."""

FILL_ATTRIBUTE = "FLoMo.FillMissingValues"
"""Node attribute, set if voxels without a value within the image are background; saved, too."""

RIGID_TOLERANCE = 1e-4
"""Largest deviation of a rigid parent transform from an orthogonal matrix."""


@dataclass(frozen=True)
class ImageNodes:
    """The MRML nodes of an image.

    Attributes
    ----------
    volume
        The volume node in the slice views; for a cine, the proxy node of the current frame.
    sequence
        The sequence node with all frames of a cine; None for a single stack.
    browser
        The sequence browser node of the cine; None for a single stack.
    """

    volume: Any
    sequence: Any = None
    browser: Any = None

    @property
    def n_frames(self) -> int:
        """Number of frames; 1 for a single stack."""
        return 1 if self.sequence is None else int(self.sequence.GetNumberOfDataNodes())

    @property
    def frame(self) -> int:
        """The selected frame, counted from 0."""
        return 0 if self.browser is None else max(int(self.browser.GetSelectedItemNumber()), 0)

    @property
    def frames(self) -> list[Any]:
        """The volume node of each frame."""
        if self.sequence is None:
            return [self.volume]
        return [self.sequence.GetNthDataNode(index) for index in range(self.n_frames)]

    @property
    def storable(self) -> Any:
        """The node that is saved with the scene: the sequence of a cine, else the volume."""
        return self.volume if self.sequence is None else self.sequence

    @property
    def slice_axis(self) -> str | None:
        """The slice axis that the user chose; None if not chosen."""
        return self.storable.GetAttribute(SLICE_AXIS_ATTRIBUTE) or None

    @property
    def fill_everywhere(self) -> bool:
        """Whether the user treats voxels without a value within the image as background."""
        return bool(self.storable.GetAttribute(FILL_ATTRIBUTE))

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """A value that changes when voxels, grid or slice axis of the image change."""
        grid = tuple(ijk_to_ras(self.volume).ravel().round(6).tolist())
        times = tuple(node.GetImageData().GetMTime() for node in self.frames)
        return (self.slice_axis, *grid, *times)


def image_nodes(node: Any) -> ImageNodes:
    """Return the nodes of the image or cine that a volume or sequence node belongs to.

    Raises
    ------
    FlomoError
        If the node is not an image that can be segmented.
    """
    if node is None:
        raise FlomoError("No image is chosen; load one and choose it.")
    if node.IsA("vtkMRMLSequenceNode"):
        return _sequence_nodes(node)
    _check_kind(node)
    for browser in nodes_of_class("vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(node)
        if sequence is not None and sequence.GetNumberOfDataNodes() > 1:
            return ImageNodes(node, sequence, browser)
    return ImageNodes(node)


def volume_of(nodes: ImageNodes) -> Volume:
    """Return an image with its geometry, without its parent transform.

    Returns
    -------
    Volume
        A copy of the voxels ``([frames,] slices, rows, columns[, channels])``; ``storage`` holds
        the axis order of the node. ``source`` is `patient_token`, never a node name, because node
        names often contain patient names.

    Raises
    ------
    FlomoError
        If there are no voxels, frames differ in grid, values are not finite, or a parent transform
        scales or deforms the image.
    """
    from napari_flomo.volumes import Volume, arrange, fill_background

    check_transform(nodes.volume)
    for node in nodes.frames:
        _check_kind(node)
    arrays = [slicer.util.arrayFromVolume(node) for node in nodes.frames]
    grids = [ijk_to_ras(node) for node in nodes.frames]
    on_screen = ijk_to_ras(nodes.volume)
    shape, colour = arrays[0].shape, nodes.volume.IsA("vtkMRMLVectorVolumeNode")
    for array, grid in zip(arrays, grids, strict=True):
        if array.shape != shape or not np.allclose(grid, on_screen, rtol=0, atol=1e-4):
            raise FlomoError(
                f"The frames of {nodes.volume.GetName()} lie on different grids; resample the "
                "sequence to one of them first."
            )
    axes: tuple[str, ...] = ("slices", "rows", "columns")
    if nodes.sequence is not None:
        axes = ("frames", *axes)
    if colour:
        axes = (*axes, "channels")
    data = arrays[0].copy() if nodes.sequence is None else np.stack(arrays)
    volume = Volume(
        data,
        geometry_of(nodes.volume),
        axes,
        modality="photo" if colour else None,
        source=patient_token(nodes),
    )
    if not colour:
        volume = arrange(volume, nodes.slice_axis)
    name, everywhere = nodes.volume.GetName(), nodes.fill_everywhere
    return fill_background(volume, name, everywhere=everywhere)


def patient_token(nodes: ImageNodes) -> str:
    """Return a hash of the DICOM patient ID; empty for images without one.

    It groups the images of a patient, which must not be split between training and test. The
    correction store keeps only a salted hash of this hash.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for node in (nodes.volume, nodes.sequence):
        item = 0 if node is None else hierarchy.GetItemByDataNode(node)
        patient = item and hierarchy.GetItemAncestorAtLevel(item, "Patient")
        if patient:
            known = hierarchy.GetItemAttribute(patient, "DICOM.PatientID")
            known = known or hierarchy.GetItemUID(patient, "DICOM")
            if known:
                return f"patient-{hashlib.sha256(known.encode()).hexdigest()[:16]}"
    return ""


def dicom_file(nodes: ImageNodes) -> str:
    """Return a file of the DICOM series that an image was loaded from; empty for other images."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None:
        return ""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for node in (nodes.volume, nodes.sequence):
        if node is None:
            continue
        instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
        file = database.fileForInstance(instances[0]) if instances else ""
        if not file:
            item = hierarchy.GetItemByDataNode(node)
            series = hierarchy.GetItemUID(item, "DICOM") if item else ""
            file = next(iter(database.filesForSeries(series) if series else ()), "")
        if file:
            return str(file)
    return ""


def geometry_of(node: Any) -> Geometry:
    """Return the grid of a volume node, without its parent transform.

    The spacing of a photo that was loaded without a pixel size (1 along all axes) is unknown.
    """
    from dataclasses import replace

    from napari_flomo.volumes import Geometry

    geometry = Geometry.from_affine_ras(ijk_to_ras(node))
    unknown = node.IsA("vtkMRMLVectorVolumeNode") and geometry.spacing == (1.0, 1.0, 1.0)
    return replace(geometry, spacing_known=False) if unknown else geometry


def ijk_to_ras(node: Any) -> NDArray[np.float64]:
    """Return the 4x4 matrix from IJK to RAS mm, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return array_of(matrix)


def ijk_to_world(node: Any) -> NDArray[np.float64]:
    """Return the 4x4 matrix from IJK to world RAS mm, with parent transforms."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return ijk_to_ras(node)
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return array_of(matrix) @ ijk_to_ras(node)


def check_transform(node: Any) -> None:
    """Raise `FlomoError` if the parent transform of a node is not rigid.

    A rigid transform (a registration) does not change what the network sees: the results get the
    same parent transform. Scaling changes distances, so it must be hardened first.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return
    rigid = bool(parent.IsTransformToWorldLinear())
    if rigid:
        matrix = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(matrix)
        linear = array_of(matrix)[:3, :3]
        rigid = np.allclose(linear.T @ linear, np.eye(3), rtol=0, atol=RIGID_TOLERANCE)
    if not rigid:
        raise FlomoError(
            f"The transform {parent.GetName()} scales or deforms {node.GetName()}; harden it "
            "(Data module, right click on the transform) or take the image out of it."
        )


def array_of(matrix: Any) -> NDArray[np.float64]:
    """Return a ``vtkMatrix4x4`` as an array."""
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def matrix_of(array: NDArray[np.floating]) -> Any:
    """Return a 4x4 array as a ``vtkMatrix4x4``."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, np.float64).ravel().tolist())
    return matrix


def nodes_of_class(name: str) -> list[Any]:
    """Return the nodes of a class, such as ``"vtkMRMLSliceNode"``, in the scene."""
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(i, name) for i in range(scene.GetNumberOfNodesByClass(name))]


def _sequence_nodes(sequence: Any) -> ImageNodes:
    first = sequence.GetNthDataNode(0) if sequence.GetNumberOfDataNodes() else None
    if first is None:
        raise FlomoError(f"The sequence {sequence.GetName()} is empty; choose another.")
    for browser in nodes_of_class("vtkMRMLSequenceBrowserNode"):
        node = browser.GetProxyNode(sequence)
        if node is not None:
            _check_kind(node)
            return ImageNodes(node, sequence, browser)
    raise FlomoError(
        f"The sequence {sequence.GetName()} is not shown; open it in the Sequences module first."
    )


def _check_kind(node: Any) -> None:
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise FlomoError(
            f"{node.GetName()} is not an image; choose a volume or a sequence of volumes."
        )
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise FlomoError(f"{node.GetName()} is a label map; choose the image it was drawn on.")
    if node.IsA("vtkMRMLTensorVolumeNode") and not node.IsA("vtkMRMLVectorVolumeNode"):
        raise FlomoError(f"{node.GetName()} holds tensors; choose a volume of grey values.")
    if node.GetImageData() is None or node.GetImageData().GetPointData().GetScalars() is None:
        raise FlomoError(f"{node.GetName()} has no voxels; load it again or choose another.")
