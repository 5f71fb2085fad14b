"""Add the layers of a result, labels and uncertainty, on the grid of the image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session import messages, structure_colours
from napari_flomo.volumes import Volume
from napari_flomo.widgets import overlay
from napari_flomo.widgets.layers import KEY, SAVED, Grid, transform_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Labels, Layer
    from napari.utils import DirectLabelColormap

    from napari_flomo.models import Label, ModelCard

BRUSH_MM = 6.0
"""Diameter of the brush at first; the wall of a ventricle is about 10 mm thick."""

FILLED_OPACITY, CONTOUR_OPACITY = 0.55, 1.0
"""Opacity of filled labels and of contours, unless the user changes it."""

ADDED, REMOVED, OTHER = 1, 2, 3
CHANGES = {
    ADDED: ("added", "#22d3ee"),
    REMOVED: ("removed", "#f472b6"),
    OTHER: ("changed", "#facc15"),
}


UNKNOWN = "#9ca3af"
"""Colour of codes without a structure."""


def label_colours(labels: Sequence[Label]) -> DirectLabelColormap:
    """Return the colours of labels; other codes are grey."""
    from napari.utils import DirectLabelColormap

    known: dict[Any, Any] = {None: UNKNOWN, 0: "transparent", **structure_colours(labels)}
    return DirectLabelColormap(color_dict=defaultdict(lambda: UNKNOWN, known))


def add_labels(
    viewer: Viewer,
    image: Image,
    grid: Grid,
    labels: Volume,
    card: ModelCard,
    *,
    saved: Callable[[], None],
) -> Labels:
    """Add the labels of an image, ready to be painted on; the layer shares the array."""
    from napari.layers import Labels

    layer = Labels(
        grid.layer_data(labels),
        name=f"{image.name} labels",
        opacity=FILLED_OPACITY,
        metadata={KEY: grid, SAVED: saved},
        **transform_of(image),
    )
    show_card(layer, card)
    layer.selected_label = card.labels[1].code
    step = float(abs(layer.scale[-1])) or 1.0
    layer.brush_size = max(1, round(BRUSH_MM / step)) if labels.geometry.spacing_known else 10
    _put_above(viewer, layer, image)
    return layer


def show_card(layer: Labels, card: ModelCard) -> None:
    """Give a labels layer the colours and the names of a model."""
    layer.colormap = label_colours(card.labels)
    layer.features = label_names(card.labels)


def add_uncertainty(
    viewer: Viewer, image: Image, grid: Grid, uncertainty: Volume, below: Layer
) -> Image:
    """Add an uncertainty map above the labels, hidden at first."""
    from napari.layers import Image

    layer = Image(
        grid.layer_data(uncertainty),
        name=f"{image.name} uncertainty",
        metadata={KEY: grid},
        visible=False,
        rgb=False,  # a last axis of three or four slices is no colour
        **overlay.layer_arguments(),
        **transform_of(image),
    )
    _put_above(viewer, layer, below)
    return layer


def add_changes(viewer: Viewer, image: Image, grid: Grid, changes: NDArray[np.uint8]) -> Labels:
    """Add the difference between the network's labels and the corrected ones."""
    from napari.layers import Labels
    from napari.utils import DirectLabelColormap

    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colours |= {code: colour for code, (_, colour) in CHANGES.items()}
    layer = Labels(
        changes,
        name=f"{image.name} changes",
        colormap=DirectLabelColormap(color_dict=defaultdict(lambda: "transparent", colours)),
        opacity=0.9,
        metadata={KEY: grid},
        **transform_of(image),
    )
    layer.editable = False
    viewer.layers.append(layer)
    return layer


def add_network_contours(
    viewer: Viewer, image: Image, grid: Grid, labels: Volume, card: ModelCard
) -> Labels:
    """Add the contours of the network's labels, for comparison with the corrected ones."""
    from napari.layers import Labels

    layer = Labels(
        grid.layer_data(labels),
        name=messages.proposed_name(image.name),
        colormap=label_colours(card.labels),
        opacity=1.0,
        metadata={KEY: grid},
        **transform_of(image),
    )
    layer.contour = 1
    layer.editable = False
    viewer.layers.append(layer)
    return layer


def show_contours(layer: Labels, contours: bool) -> None:
    """Show labels as contours, or filled; an opacity that the user chose is kept."""
    before, after = (FILLED_OPACITY, CONTOUR_OPACITY)[:: 1 if contours else -1]
    if bool(layer.contour) is contours:
        return
    layer.contour = int(contours)
    if layer.opacity == before:
        layer.opacity = after


def changes(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.uint8]:
    """Return how each voxel was changed: `ADDED`, `REMOVED`, `OTHER` or 0."""
    result = np.zeros(after.shape, np.uint8)
    differs = before != after
    result[differs] = OTHER
    result[differs & (before == 0)] = ADDED
    result[differs & (after == 0)] = REMOVED
    return result


def replace_voxels(layer: Labels, wanted: NDArray[np.integer]) -> None:
    """Make a labels layer equal to an array, in place and as one step of its undo history.

    There is a step even if no voxel changes, so that states of slices can be undone.
    """
    where = np.nonzero(layer.data != wanted)
    with layer.block_history():
        if where[0].size:
            layer.data_setitem(where, wanted[where], refresh=False)
        else:  # change a voxel and change it back
            first = tuple(np.zeros(1, int) for _ in range(layer.ndim))
            value = wanted[first]
            for one in (value ^ 1, value):
                layer.data_setitem(first, one, refresh=False)
    layer.refresh()


def label_names(labels: Sequence[Label]) -> dict[str, list[Any]]:
    """Return the names of codes as napari shows them under the mouse."""
    return {
        "index": [label.code for label in labels],
        "structure": [label.name for label in labels],
    }


def _put_above(viewer: Viewer, layer: Layer, image: Image) -> None:
    """Insert a layer right above another, so that no other image hides it."""
    viewer.layers.insert(viewer.layers.index(image) + 1, layer)
