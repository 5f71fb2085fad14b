"""Coded terms for segments: what a DICOM SEG or a ``.seg.nrrd`` says a structure is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from napari_flomo.models import Label

CONTEXT = "Segmentation category and type - DICOM master list"
REGIONS = "Anatomic codes - DICOM master list"
SCHEME = "SCT"
STRUCTURE = ("123037004", "Anatomical Structure")
TISSUE = ("85756007", "Tissue")


def entry_of(label: Label) -> str:
    """Return the term of a card's label as Slicer serializes it.

    A label without a concept of SNOMED CT is called a tissue, as Slicer calls a new segment.
    """
    category, kind = TISSUE, TISSUE
    if label.snomed is not None:
        category, kind = STRUCTURE, (label.snomed.code, label.snomed.meaning)
    return str(
        slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
            CONTEXT,
            category[0], SCHEME, category[1],
            kind[0], SCHEME, kind[1],
            "", "", "",
            REGIONS,
            "", "", "",
            "", "", "",
        )
    )  # fmt: skip
