"""Coded terms for segments: what a DICOM SEG or a ``.seg.nrrd`` says a structure is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from napari_flomo.models import Label

CONTEXT = "Segmentation category and type - DICOM master list"
REGIONS = "Anatomic codes - DICOM master list"
SCHEME = "SCT"


def entry_of(label: Label) -> str:
    """Return the terms of a card's label as Slicer serializes them."""
    category, kind = label.terms
    return str(
        slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
            CONTEXT,
            category.code, SCHEME, category.meaning,
            kind.code, SCHEME, kind.meaning,
            "", "", "",
            REGIONS,
            "", "", "",
            "", "", "",
        )
    )  # fmt: skip
