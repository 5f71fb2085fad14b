"""Labels as segments and back: all segments share a label map with the codes of the model card."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from FLoMoSegmentationLib import compat
from FLoMoSegmentationLib.images import ijk_to_ras, matrix_of
from napari_flomo.session import structure_colours

if TYPE_CHECKING:
    from napari_flomo.models import Label, ModelCard

BINARY = "Binary labelmap"
CATEGORY_CONTEXT = "Segmentation category and type - DICOM master list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"


STEP_TAG = "FLoMo.Step"
"""Tag of each segment with the step of the session that it shows: Undo restores tags, too."""


def segment_id(code: int) -> str:
    """Return the segment ID of a label; unlike the name, users do not change it."""
    return f"flomo_{code}"


def terminology_entry(label: Label) -> str:
    """Return the coded terms of a label as serialized by Slicer."""
    category, kind = label.terms
    return str(
        slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
            CATEGORY_CONTEXT,
            category.code, "SCT", category.meaning,
            kind.code, "SCT", kind.meaning,
            "", "", "",
            ANATOMIC_CONTEXT,
            "", "", "",
            "", "", "",
        )
    )  # fmt: skip


def write_segments(node: Any, labels: NDArray[np.integer], card: ModelCard, reference: Any) -> None:
    """Write labels into a segmentation node: a segment for each structure of the card.

    Only the voxels of existing segments are replaced: segments that the user added, and changed
    names, colours and visibility stay.

    Parameters
    ----------
    node
        A ``vtkMRMLSegmentationNode``.
    labels
        Codes of the card, ``(slices, rows, columns)``.
    card
        Names and coded terms; colours are those of `structure_colours`.
    reference
        The volume node with the grid of the labels.
    """
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(BINARY)
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    shown_in_3d = segmentation.ContainsRepresentation(surface)
    if shown_in_3d:  # made from the old voxels; created again below
        segmentation.RemoveRepresentation(surface)
    image = _label_map(labels, ijk_to_ras(reference))
    colours = structure_colours(card.labels)
    changing = node.StartModify()
    try:
        for label in card.labels[1:]:
            name = segment_id(label.code)
            segment = segmentation.GetSegment(name)
            if segment is None:
                segmentation.AddSegment(_make_segment(label, colours[label.code], image), name)
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

    Where segments overlap, the later label of the card wins. Segments that are not structures of
    the card are ignored; see `unknown_segments`.

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
    """Return the names of segments that are not structures of the card."""
    known = {segment_id(label.code) for label in card.labels}
    segmentation = node.GetSegmentation()
    return [
        str(segmentation.GetSegment(name).GetName())
        for name in segmentation.GetSegmentIDs()
        if name not in known
    ]


def step_of(node: Any) -> str:
    """Return the step of the session that the segments show; empty if unknown."""
    segmentation = node.GetSegmentation()
    segments = map(segmentation.GetSegment, segmentation.GetSegmentIDs())
    return next((step for one in segments if (step := compat.tag(one, STEP_TAG))), "")


def set_step(node: Any, step: str) -> None:
    """Note which step of the session the segments show."""
    segmentation = node.GetSegmentation()
    for name in segmentation.GetSegmentIDs():
        segmentation.GetSegment(name).SetTag(STEP_TAG, step)


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
    """Give the segments of these labels, and no others, the status *Completed*."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    for code in completed(node, card) ^ set(codes):
        segment = node.GetSegmentation().GetSegment(segment_id(code))
        if segment is not None:
            logic.SetSegmentStatus(segment, logic.Completed if code in codes else logic.InProgress)


def _make_segment(label: Label, colour: str, image: Any) -> Any:
    segment = slicer.vtkSegment()
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)))
    segment.SetColorAutoGenerated(False)
    segment.SetLabelValue(label.code)
    compat.set_terminology(segment, terminology_entry(label))
    segment.AddRepresentation(BINARY, image)
    return segment


def _label_map(labels: NDArray[np.integer], grid: NDArray[np.float64]) -> Any:
    """Return the label map that all segments share."""
    image = slicer.vtkOrientedImageData()
    slices, rows, columns = labels.shape
    image.SetDimensions(columns, rows, slices)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = labels.ravel()
    image.SetGeometryFromImageToWorldMatrix(matrix_of(grid))
    return image
