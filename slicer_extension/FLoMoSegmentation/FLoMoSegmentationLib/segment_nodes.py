"""Labels as segments and back: one shared label map, whose values are the codes of the card."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from FLoMoSegmentationLib import versions
from FLoMoSegmentationLib.images import ijk_to_ras, matrix_of
from FLoMoSegmentationLib.terminology import entry_of

if TYPE_CHECKING:
    from napari_flomo.models import Label, ModelCard

BINARY = "Binary labelmap"
_PREFIX = "flomo_"


def segment_id(code: int) -> str:
    """Return the ID of the segment of a label; the name may be changed, the ID stays."""
    return f"{_PREFIX}{code}"


def write_segments(node: Any, labels: NDArray[np.integer], card: ModelCard, reference: Any) -> None:
    """Put labels into a segmentation node: a segment for each structure of the card.

    Segments that the user added stay. Names, colours and visibility that the user changed stay,
    too: only the voxels of a segment that is there already are replaced.

    Parameters
    ----------
    node
        A ``vtkMRMLSegmentationNode``.
    labels
        Codes of the card, ``(slices, rows, columns)``.
    card
        Names, colours and coded terms.
    reference
        The volume node on whose grid they lie.
    """
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(BINARY)
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    shown_in_3d = segmentation.ContainsRepresentation(surface)
    if shown_in_3d:  # it was made of the old voxels, and is created again when it is shown
        segmentation.RemoveRepresentation(surface)
    image = _image(labels, ijk_to_ras(reference))
    changing = node.StartModify()
    try:
        for label in card.labels[1:]:
            name = segment_id(label.code)
            segment = segmentation.GetSegment(name)
            if segment is None:
                segmentation.AddSegment(_segment(label, image), name)
            else:
                segment.RemoveRepresentation(BINARY)
                segment.SetLabelValue(label.code)
                segment.AddRepresentation(BINARY, image)
    finally:
        node.EndModify(changing)
    if shown_in_3d:
        node.CreateClosedSurfaceRepresentation()


def read_segments(node: Any, card: ModelCard, reference: Any) -> NDArray[np.uint8]:
    """Return the labels of a segmentation node on the grid of a volume.

    Where segments overlap the later one of the card wins. Segments that are none of the card's
    structures are left out; `unknown_segments` names them.

    Returns
    -------
    ndarray
        Codes of the card, ``(slices, rows, columns)``, a copy.
    """
    columns, rows, slices = reference.GetImageData().GetDimensions()
    names, codes = vtk.vtkStringArray(), vtk.vtkIntArray()
    segmentation = node.GetSegmentation()
    for label in card.labels[1:]:
        name = segment_id(label.code)
        if segmentation.GetSegment(name) is not None:
            names.InsertNextValue(name)
            codes.InsertNextValue(label.code)
    labels = np.zeros((slices, rows, columns), np.uint8)
    if names.GetNumberOfValues() == 0:
        return labels
    merged = slicer.vtkOrientedImageData()
    slicer.vtkSlicerSegmentationsModuleLogic.GenerateMergedLabelmapInReferenceGeometry(
        node, reference, names, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY, merged, codes
    )
    scalars = merged.GetPointData().GetScalars()
    if scalars is not None:  # None when every segment is empty
        labels[:] = vtk_to_numpy(scalars).reshape(labels.shape)
    return labels


def unknown_segments(node: Any, card: ModelCard) -> list[str]:
    """Return the names of segments that are none of the card's structures."""
    known = {segment_id(label.code) for label in card.labels}
    segmentation = node.GetSegmentation()
    return [
        str(segmentation.GetSegment(name).GetName())
        for name in segmentation.GetSegmentIDs()
        if name not in known
    ]


def completed(node: Any, card: ModelCard) -> frozenset[int]:
    """Return the codes of segments whose status in the Segment Editor is *Completed*."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segmentation = node.GetSegmentation()
    found = {label.code: segmentation.GetSegment(segment_id(label.code)) for label in card.labels}
    return frozenset(
        code
        for code, segment in found.items()
        if segment is not None and logic.GetSegmentStatus(segment) == logic.Completed
    )


def set_completed(node: Any, card: ModelCard, codes: Collection[int]) -> None:
    """Give the segments of some labels the status *Completed*; others that had it lose it."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    for code in completed(node, card) ^ set(codes):
        segment = node.GetSegmentation().GetSegment(segment_id(code))
        if segment is not None:
            logic.SetSegmentStatus(segment, logic.Completed if code in codes else logic.InProgress)


def _segment(label: Label, image: Any) -> Any:
    segment = slicer.vtkSegment()
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(int(label.colour[at : at + 2], 16) / 255 for at in (1, 3, 5)))
    segment.SetColorAutoGenerated(False)
    segment.SetLabelValue(label.code)
    versions.set_terminology(segment, entry_of(label))
    segment.AddRepresentation(BINARY, image)
    return segment


def _image(labels: NDArray[np.integer], grid: NDArray[np.float64]) -> Any:
    """Return labels as the label map that all segments share."""
    image = slicer.vtkOrientedImageData()
    slices, rows, columns = labels.shape
    image.SetDimensions(columns, rows, slices)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = labels.ravel()
    image.SetGeometryFromImageToWorldMatrix(matrix_of(grid))
    return image
