"""Shortcuts: the same functions by key, by menu and from the command palette."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    import napari.viewer

    from napari_flomo.widgets.desk import Desk


def next_doubtful(viewer: napari.viewer.Viewer) -> None:
    """Go to the next doubtful slice."""
    from napari_flomo.widgets import reviewing

    _attempt(viewer, reviewing.next_doubtful)


def previous_doubtful(viewer: napari.viewer.Viewer) -> None:
    """Go back to the slice before in the review."""
    from napari_flomo.widgets import reviewing

    _attempt(viewer, reviewing.previous_doubtful)


def accept(viewer: napari.viewer.Viewer) -> None:
    """Accept the slice on the screen and go on."""
    from napari_flomo.widgets import reviewing

    _attempt(viewer, reviewing.accept)


def toggle_uncertainty(viewer: napari.viewer.Viewer) -> None:
    """Show or hide the doubt of the current image."""

    def toggle(desk: Desk) -> None:
        entry = desk.current
        if entry is None or entry.doubt is None:
            raise FlomoError("There is no uncertainty to show yet; segment an image first.")
        entry.doubt.visible = not entry.doubt.visible

    _attempt(viewer, toggle)


def next_label(viewer: napari.viewer.Viewer) -> None:
    """Paint with the next structure of the model."""
    _attempt(viewer, lambda desk: _step_label(desk, 1))


def previous_label(viewer: napari.viewer.Viewer) -> None:
    """Paint with the structure before."""
    _attempt(viewer, lambda desk: _step_label(desk, -1))


SHORTCUTS: tuple[tuple[str, Callable[[napari.viewer.Viewer], None], str], ...] = (
    ("N", next_doubtful, "next doubtful slice"),
    ("Shift-N", previous_doubtful, "previous doubtful slice"),
    ("A", accept, "accept the slice and go on"),
    ("U", toggle_uncertainty, "show or hide the uncertainty"),
    (".", next_label, "paint with the next label"),
    (",", previous_label, "paint with the previous label"),
)
"""Key, what it does, and what it is called; none of them is taken by napari itself."""


def bind(desk: Desk) -> None:
    """Bind the shortcuts in the window of a desk; keys that somebody else has taken stay so."""
    viewer = desk.viewer
    for key, action, _title in SHORTCUTS:
        if not any(str(bound) == str(_binding(key)) for bound in viewer.keymap):
            viewer.bind_key(key, action)


def _binding(key: str) -> object:
    from napari.utils.key_bindings import coerce_keybinding

    return coerce_keybinding(key)


def _step_label(desk: Desk, by: int) -> None:
    entry = desk.current
    image = None if entry is None else desk.opened(entry)
    if entry is None or entry.labels is None or image is None or image.segmentation is None:
        raise FlomoError("There are no labels to paint with yet; segment an image first.")
    codes = [label.code for label in image.segmentation.card.labels]
    now = entry.labels.selected_label
    at = codes.index(now) if now in codes else 0
    entry.labels.selected_label = codes[(at + by) % len(codes)]


def _attempt(viewer: napari.viewer.Viewer, action: Callable[[Desk], None]) -> None:
    from napari_flomo.widgets.desk import desk_of

    desk = desk_of(viewer)
    try:
        action(desk)
    except FlomoError as error:
        desk.say(str(error))
        viewer.status = str(error)
