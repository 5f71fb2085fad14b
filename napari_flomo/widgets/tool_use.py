"""Apply a tool to the structure that is painted with, as one stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages, use_tool
from napari_flomo.widgets.layers import Grid

if TYPE_CHECKING:
    from napari_flomo.session import ToolName
    from napari_flomo.widgets.forms.tools import ToolOptions
    from napari_flomo.widgets.viewer_state import ViewerState


def apply_tool(viewer_state: ViewerState, options: ToolOptions) -> None:
    """Apply a tool to the current image, or say why its slices cannot be seen.

    Raises `FlomoError` if there are no labels or the tool cannot change them.
    """
    entry, image = viewer_state.current, viewer_state.current_image
    if entry is None or entry.labels is None or image is None:
        raise FlomoError(messages.NOTHING_TO_REVIEW)
    if not viewer_state.presenter.can_see(image.key):
        return
    viewer_state.adapter.read_labels(image.key)
    changed = use_tool(
        image,
        cast("ToolName", options.tool),
        int(entry.labels.selected_label),
        viewer_state.position(entry),
        mm=options.size,
        whole_stack=options.whole_stack,
    )
    wanted = Grid.below(entry.image, image.volume).layer_data(changed)
    where = np.nonzero(entry.labels.data != wanted)
    if where[0].size:
        entry.labels.data_setitem(where, wanted[where])
        viewer_state.adapter.read_labels(image.key)
    else:
        viewer_state.post_message(messages.TOOL_CHANGED_NOTHING)
