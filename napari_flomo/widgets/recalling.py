"""What was accepted of an image on an earlier day comes back, with the labels of that day."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_flomo.session import EarlierFound, messages

if TYPE_CHECKING:
    from napari_flomo.session import Earlier
    from napari_flomo.widgets.entries import Entry
    from napari_flomo.widgets.viewer_state import ViewerState


def offer(viewer_state: ViewerState, entry: Entry, event: EarlierFound) -> None:
    """Offer what the session found."""
    if event.earlier is None:
        viewer_state.say(event.problem or "", "warning")
        return
    action = partial(bring_back, viewer_state, entry, event.earlier)
    viewer_state.say(
        messages.earlier_text(len(event.earlier.places)),
        choices=[(messages.EARLIER_TITLE, action, messages.EARLIER_TIP)],
    )


def bring_back(viewer_state: ViewerState, entry: Entry, found: Earlier) -> None:
    """Put the labels of that day into the layer, as one step of Undo; the slices are accepted."""
    image = None if viewer_state.closed else viewer_state.opened(entry)
    if image is None or image.labels is None or image.review is None or entry.labels is None:
        return
    viewer_state.session.set_labels(image.key, found.over(image.labels).data)
    viewer_state.show_result(entry)
    viewer_state.session.vouch(image.key, found.places)
    count = len(found.places)
    slices = "The slice is" if count == 1 else f"The {count} slices are"
    viewer_state.say(f"{slices} as you accepted them; Ctrl+Z brings the network's labels back.")
