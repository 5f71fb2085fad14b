"""Texts about what cannot be seen, which both viewers show."""

from __future__ import annotations

from collections.abc import Callable

from napari_flomo.session.messages import Choice, Message
from napari_flomo.session.visibility import NotShown

NOT_SHOWN = {
    NotShown.VOLUME_VIEW: "{} is shown in 3-D; slices are reviewed in the 2-D view.",
    NotShown.OTHER_PLANE: "{} is shown in another plane than that of its slices.",
    NotShown.ALL_FRAMES: "{} is shown with its frames side by side, not one of them.",
    NotShown.OUTSIDE: "The view is outside {}, so none of its slices is shown.",
    NotShown.IMAGE_HIDDEN: "{} is hidden, so none of its slices is shown.",
    NotShown.IMAGE_COVERED: "{} is covered by another image.",
    NotShown.LABELS_HIDDEN: "The labels of {} cannot be seen.",
    NotShown.LABELS_REMOVED: "The labels of {} were deleted.",
    NotShown.MAP_HIDDEN: "The uncertainty of {} cannot be seen.",
}
CONTOURS_LATER = "No labels can be seen; they will be shown {}."


def not_shown_message(
    why: NotShown, name: str, key: str | None, show: Callable[[], object]
) -> Message:
    """Return why nothing is done with what cannot be seen; ``show`` shows the slices."""
    tip = "Show the slices of this image and their labels"
    choices = (Choice("Show the slices", show, tip),)
    return Message(NOT_SHOWN[why].format(name), "warning", choices=choices, key=key)


def contours_later_text(contours: bool) -> str:
    """Return the message that a change of contours cannot be seen now."""
    return CONTOURS_LATER.format("as contours" if contours else "filled")
