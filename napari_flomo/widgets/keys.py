"""Keyboard shortcuts, which are also commands in menu and command palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.widgets import painting, uncertainty_layer
from napari_flomo.widgets.tool_use import apply_tool

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Labels

    from napari_flomo.session import ToolName
    from napari_flomo.widgets.viewer_state import ViewerState


def next_uncertain(viewer: napari.viewer.Viewer) -> None:
    """Go to the next uncertain slice."""
    _attempt(viewer, lambda state: state.presenter.next(state.key))


def previous_uncertain(viewer: napari.viewer.Viewer) -> None:
    """Go back to the slice before in the review."""
    _attempt(viewer, lambda state: state.presenter.previous(state.key))


def accept(viewer: napari.viewer.Viewer) -> None:
    """Accept the slice on the screen and go to the next; take back an accepted one."""
    _attempt(viewer, lambda state: state.presenter.accept(state.key))


def next_study(viewer: napari.viewer.Viewer) -> None:
    """Save the open study of the work list and open the next."""
    _attempt(viewer, lambda state: state.get_studies().next())


def previous_study(viewer: napari.viewer.Viewer) -> None:
    """Save the open study of the work list and open the one before."""
    _attempt(viewer, lambda state: state.get_studies().previous())


def continue_from_labels(viewer: napari.viewer.Viewer) -> None:
    """Choose a file with labels, and review them as those of the current image."""

    def ask(viewer_state: ViewerState) -> None:
        from napari_flomo.widgets import earlier_file

        earlier_file.ask(viewer_state, None)

    _attempt(viewer, ask)


def toggle_uncertainty(viewer: napari.viewer.Viewer) -> None:
    """Show or hide the uncertainty of the current image."""
    _attempt(viewer, uncertainty_layer.show)


def next_label(viewer: napari.viewer.Viewer) -> None:
    """Paint with the next structure of the model."""
    _attempt(viewer, lambda viewer_state: painting.step_label(viewer_state, 1))


def previous_label(viewer: napari.viewer.Viewer) -> None:
    """Paint with the structure before."""
    _attempt(viewer, lambda viewer_state: painting.step_label(viewer_state, -1))


def toggle_contours(viewer: napari.viewer.Viewer) -> None:
    """Show labels as contours, or filled."""
    _attempt(viewer, lambda state: state.presenter.show_contours(not state.presenter.contours))


def next_frame(viewer: napari.viewer.Viewer) -> None:
    """Show the next frame of a cine; the slice stays."""
    _attempt(viewer, lambda state: state.presenter.step_frame(state.key, 1))


def previous_frame(viewer: napari.viewer.Viewer) -> None:
    """Show the frame before."""
    _attempt(viewer, lambda state: state.presenter.step_frame(state.key, -1))


def smooth_structure(viewer: napari.viewer.Viewer) -> None:
    """Smooth the structure that is painted with."""
    _use_tool(viewer, "smooth")


def grow_structure(viewer: napari.viewer.Viewer) -> None:
    """Move the border of the structure outwards."""
    _use_tool(viewer, "grow")


def shrink_structure(viewer: napari.viewer.Viewer) -> None:
    """Move the border of the structure inwards."""
    _use_tool(viewer, "shrink")


def remove_islands(viewer: napari.viewer.Viewer) -> None:
    """Keep the largest piece of the structure."""
    _use_tool(viewer, "remove islands")


def fill_between_slices(viewer: napari.viewer.Viewer) -> None:
    """Label empty slices between labelled ones."""
    _use_tool(viewer, "fill between slices")


SHORTCUTS: tuple[tuple[str, Callable[[napari.viewer.Viewer], None], str], ...] = (
    ("N", next_uncertain, "next uncertain slice"),
    ("Shift-N", previous_uncertain, "previous uncertain slice"),
    ("A", accept, "accept the slice and go to the next; on an accepted slice, take that back"),
    ("U", toggle_uncertainty, "show or hide the uncertainty"),
    ("Shift-C", toggle_contours, "show the labels as contours, or filled"),
    ("Shift-Right", next_frame, "next frame of a cine"),
    ("Shift-Left", previous_frame, "previous frame of a cine"),
    (".", next_label, "paint with the next label"),
    (",", previous_label, "paint with the previous label"),
    ("Shift-S", smooth_structure, "smooth the structure that you paint with"),
    ("Shift-G", grow_structure, "grow the structure"),
    ("Shift-K", shrink_structure, "shrink the structure"),
    ("Shift-I", remove_islands, "remove islands of the structure"),
    ("Shift-F", fill_between_slices, "fill the structure between slices"),
    ("PageDown", next_study, "next study of the work list"),
    ("PageUp", previous_study, "previous study of the work list"),
)
"""Key, command and title; napari itself uses none of these keys."""


UNDO = "Control-Z"
"""napari's key on a labels layer (Command on macOS)."""


def bind(viewer_state: ViewerState) -> None:
    """Bind the shortcuts in the viewer's window, except keys that are bound already."""
    viewer = viewer_state.viewer
    for key, action, _title in SHORTCUTS:
        if not _is_bound(viewer, key):
            viewer.bind_key(key, action)
    if not _is_bound(viewer, UNDO):
        viewer.bind_key(UNDO, lambda _viewer: _undo_accept(viewer_state))
        viewer_state.current_changed.connect(lambda: _bind_undo(viewer_state))
    _bind_undo(viewer_state)


def _bind_undo(viewer_state: ViewerState) -> None:
    """Have Undo on the labels take back an acceptance first, if that was the last action."""

    def undo(layer: Labels) -> None:
        if not _undo_accept(viewer_state):
            layer.undo()

    for entry in viewer_state.entries:
        if entry.labels is not None:
            entry.labels.bind_key(UNDO, undo, overwrite=True)


def _undo_accept(viewer_state: ViewerState) -> bool:
    return viewer_state.presenter.undo_accept(viewer_state.key)


def _use_tool(viewer: napari.viewer.Viewer, tool: ToolName) -> None:
    """Apply a tool with the size and slices that are chosen in Review."""
    _attempt(viewer, lambda state: apply_tool(state, replace(state.tool_options, tool=tool)))


def _is_bound(viewer: napari.viewer.Viewer, key: str) -> bool:
    from napari.utils.key_bindings import coerce_keybinding

    return any(str(bound) == str(coerce_keybinding(key)) for bound in viewer.keymap)


def _attempt(viewer: napari.viewer.Viewer, action: Callable[[ViewerState], object]) -> None:
    from napari_flomo.widgets.viewer_state import viewer_state_of

    viewer_state = viewer_state_of(viewer)
    try:
        action(viewer_state)
    except FlomoError as error:
        viewer_state.post_message(str(error))
