"""Form of the Segment panel: image, model, device, part of the image, views."""

# No `from __future__ import annotations`: magicgui reads the hints.
from dataclasses import dataclass
from typing import Annotated

from napari.layers import Image

from napari_flomo.session import messages
from napari_flomo.widgets.forms.form import pairs

_RADIO = {"widget_type": "RadioButtons", "orientation": "horizontal"}
_MILLIMETRES = {"min": 0.01, "max": 100.0}


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """What is segmented, by which model, and where it runs.

    Parameters
    ----------
    image
        Image to segment; follows the selected layer
    voxel_mm
        Distance of slices, rows and columns in millimetres, if the image does not specify it
    slice_axis
        Slice axis, if it cannot be determined from the spacing and size of this image: i is the
        last axis of the layer's data, k the third from last
    model
        Model to use; download others under Models
    device
        Device on which the network runs
    scope
        Part of the image to segment
    mirrored
        Whether to average over mirrored views of each slice
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
    device: Annotated[str, {"label": "Device", "choices": pairs(messages.DEVICES)}] = "auto"
    scope: Annotated[str, {"label": "Segment", "choices": pairs(messages.SCOPES), **_RADIO}] = (
        "stack"
    )
    mirrored: Annotated[
        bool, {"label": messages.MIRRORED_TITLE, "tooltip": messages.MIRRORED_TIP}
    ] = False
