"""Segmentation of volumes, with uncertainty.

Importing this package is cheap; engines are loaded when the first volume is segmented.
"""

from __future__ import annotations

from napari_flomo.segmentation.device import choose_device, is_gpu
from napari_flomo.segmentation.dicom_seg import (
    DICOM_SUFFIX,
    check_usable,
    dicom_seg_files,
    dicom_seg_objects,
    dicom_seg_paths,
)
from napari_flomo.segmentation.dicom_seg_reading import (
    DicomLabels,
    find_dicom_segs,
    read_dicom_segs,
)
from napari_flomo.segmentation.dicom_sources import MAY_BE_EMPTY
from napari_flomo.segmentation.engines import write_graph
from napari_flomo.segmentation.exchange import (
    pack_segmentation,
    pack_volume,
    unpack_segmentation,
    unpack_volume,
)
from napari_flomo.segmentation.image_signature import (
    SIGNATURE_KIND,
    fit_signature,
    image_signature,
)
from napari_flomo.segmentation.inputs import check_input, with_channels
from napari_flomo.segmentation.maps import DEFAULT_MAPS, MAPS, MapKind, chosen_maps, passes_of
from napari_flomo.segmentation.orientation import Reorientation
from napari_flomo.segmentation.preprocessing import (
    Plan,
    intensity_window,
    prepare,
    prepare_labels,
    restore,
)
from napari_flomo.segmentation.routing import (
    ModelChoice,
    Nearness,
    Route,
    choose_member,
    choose_model,
    fallen_back,
    route,
)
from napari_flomo.segmentation.scores import (
    PLAUSIBLE,
    Scores,
    label_confidence,
    structure_probability,
)
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.segmentation.segmenter import Segmenter

__all__ = [
    "DEFAULT_MAPS",
    "DICOM_SUFFIX",
    "MAPS",
    "MAY_BE_EMPTY",
    "PLAUSIBLE",
    "SIGNATURE_KIND",
    "DicomLabels",
    "MapKind",
    "ModelChoice",
    "Nearness",
    "Plan",
    "Reorientation",
    "Route",
    "Scores",
    "Segmentation",
    "Segmenter",
    "check_input",
    "check_usable",
    "choose_device",
    "choose_member",
    "choose_model",
    "chosen_maps",
    "dicom_seg_files",
    "dicom_seg_objects",
    "dicom_seg_paths",
    "fallen_back",
    "find_dicom_segs",
    "fit_signature",
    "image_signature",
    "intensity_window",
    "is_gpu",
    "label_confidence",
    "pack_segmentation",
    "pack_volume",
    "passes_of",
    "prepare",
    "prepare_labels",
    "read_dicom_segs",
    "restore",
    "route",
    "structure_probability",
    "unpack_segmentation",
    "unpack_volume",
    "with_channels",
    "write_graph",
]
