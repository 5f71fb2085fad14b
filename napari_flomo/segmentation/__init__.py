"""Segmentation of volumes, with uncertainty.

Importing this package is cheap; torch is loaded when a `Segmenter` is created.
"""

from __future__ import annotations

from napari_flomo.segmentation.device import choose_device
from napari_flomo.segmentation.dicom_seg import DICOM_SUFFIX, dicom_seg_files
from napari_flomo.segmentation.maps import DEFAULT_MAPS, MAPS, MapKind, passes_of
from napari_flomo.segmentation.preprocessing import Plan, prepare, prepare_labels, restore
from napari_flomo.segmentation.scores import Scores
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.segmentation.segmenter import Segmenter

__all__ = [
    "DEFAULT_MAPS",
    "DICOM_SUFFIX",
    "MAPS",
    "MapKind",
    "Plan",
    "Scores",
    "Segmentation",
    "Segmenter",
    "choose_device",
    "dicom_seg_files",
    "passes_of",
    "prepare",
    "prepare_labels",
    "restore",
]
