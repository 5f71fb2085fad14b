"""Tools that change a structure in one slice or in all slices of a frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from napari_flomo.label_tools import fill_between, grow, remove_islands, smooth
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import SliceIndex
from napari_flomo.volumes import Volume

ToolName = Literal["smooth", "grow", "shrink", "remove islands", "fill between slices"]
"""Name of a tool that edits labels."""
TOOLS: tuple[ToolName, ...] = get_args(ToolName)
"""All tools, in the order in which viewers list them."""

IN_MILLIMETRES: frozenset[ToolName] = frozenset({"smooth", "grow", "shrink"})
"""Tools that have a size."""


def use_tool(
    image: OpenImage,
    tool: ToolName,
    code: int,
    index: SliceIndex,
    *,
    mm: float = 1.0,
    whole_stack: bool = False,
) -> Volume:
    """Return the labels of an image changed by a tool; the image stays as it is.

    Parameters
    ----------
    image
        It was segmented.
    tool
        One of `TOOLS`.
    code
        The structure to change. Filling between slices changes all structures if it is 0.
    index
        The slice to change, or one in the frame to change.
    mm
        Size of the tools in `IN_MILLIMETRES`.
    whole_stack
        Whether to change all slices of the frame. Filling between slices always does.

    Raises
    ------
    FlomoError
        If the image was not segmented, the structure is locked, or nothing can be filled.
    """
    image.require_segmentation()
    assert image.labels is not None
    labels = image.labels
    act = _function(tool, code, labels.in_plane_spacing, mm)
    everything = whole_stack or tool == "fill between slices"
    slices = None if everything else [index.slice]
    result = labels.with_data(labels.data.copy(), axes=labels.axes)
    stacks = result.data.reshape(labels.n_frames, *labels.spatial_shape)
    stacks[index.frame] = act(stacks[index.frame], slices=slices, locked=image.locked)
    return result


def _function(
    tool: ToolName, code: int, spacing: tuple[float, float], mm: float
) -> Callable[..., NDArray[Any]]:
    if tool == "fill between slices":
        return partial(fill_between, spacing=spacing, codes=[code] if code else None)
    if tool == "remove islands":
        return partial(remove_islands, code=code, spacing=spacing)
    if tool == "smooth":
        return partial(smooth, code=code, spacing=spacing, mm=mm)
    return partial(grow, code=code, spacing=spacing, mm=mm if tool == "grow" else -mm)
