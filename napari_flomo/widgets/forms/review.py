"""Forms of the Review panel: how uncertainty is shown, and what labels are compared with."""

# No `from __future__ import annotations`: magicgui reads the hints.
from dataclasses import dataclass
from typing import Annotated

from napari_flomo.session import uncertainty_maps
from napari_flomo.widgets.forms.form import Option, pairs

OFF, CONTOURS, CHANGES = "off", "contours", "changes"
COMPARISONS: list[Option] = [
    ("Nothing", OFF, "Only the current labels"),
    ("Network's contours", CONTOURS, "Outlines of the network's labels, above yours"),
    ("My changes", CHANGES, "What you added, removed and changed"),
]


@dataclass(frozen=True, kw_only=True)
class UncertaintyOptions:
    """How uncertainty is shown over an image.

    Parameters
    ----------
    overlay
        Show or hide the uncertainty of the network (key U)
    map
        Measure of uncertainty to show
    threshold
        Show only uncertainty above this threshold
    """

    overlay: Annotated[bool, {"label": "Show on the image"}] = False
    map: Annotated[str, {"label": "Map", "widget_type": "ComboBox", "choices": ()}]
    threshold: Annotated[
        float,
        {"label": "Only above", "widget_type": "FloatSlider", "min": 0.0, "max": 1.0, "step": 0.01},
    ] = uncertainty_maps.THRESHOLD


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What the labels are compared with.

    Parameters
    ----------
    compare_with
        Compare your labels with those of the network
    """

    compare_with: Annotated[str, {"label": "Compare with", "choices": pairs(COMPARISONS)}] = OFF
