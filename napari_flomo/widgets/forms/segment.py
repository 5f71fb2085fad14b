"""What the Segment panel asks: image, model, device, part of the image, views."""

# No `from __future__ import annotations`: magicgui reads the hints.
from dataclasses import dataclass
from typing import Annotated

from napari.layers import Image

from napari_flomo.session.messages import DEVICES, MIRRORED_TIP, MIRRORED_TITLE, SCOPES
from napari_flomo.widgets.forms.form import Option, pairs

VIEWS: list[Option] = [
    ("Plain", False, "Show the network each slice once"),
    (MIRRORED_TITLE, True, MIRRORED_TIP),
]
_RADIO = {"widget_type": "RadioButtons", "orientation": "horizontal"}
_MILLIMETRES = {"min": 0.01, "max": 100.0}


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """What is segmented, by which model, and where it runs.

    Parameters
    ----------
    image
        The image to segment; follows the selected layer
    voxel_mm
        Millimetres from slice to slice, from row to row and from column to column
    slice_axis
        The axis from slice to slice: i is the last axis of the layer's data, k the third from last
    model
        The network to use; get more of them under Models
    device
        Where the network runs
    scope
        How much of the image to segment
    mirrored
        How the network sees each slice
    """

    image: Annotated[Image | None, {"label": "Image", "nullable": False, "choices": ()}]
    voxel_mm: Annotated[
        tuple[float, float, float], {"label": "Voxel, mm", "options": _MILLIMETRES}
    ] = (8.0, 1.5, 1.5)
    slice_axis: Annotated[
        str | None,
        {"label": "Slices along", "widget_type": "ComboBox", "nullable": False, "choices": ()},
    ]
    model: Annotated[str, {"label": "Model", "widget_type": "ComboBox", "choices": ()}]
    device: Annotated[str, {"label": "Device", "choices": pairs(DEVICES)}] = "auto"
    scope: Annotated[str, {"label": "Segment", "choices": pairs(SCOPES), **_RADIO}] = "stack"
    mirrored: Annotated[bool, {"label": "Views", "choices": pairs(VIEWS), **_RADIO}] = False
