"""What was accepted of an image on an earlier day comes back, with the labels of that day."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_flomo.session import EarlierFound, words
from napari_flomo.widgets import journalling
from napari_flomo.widgets.layers import Grid

if TYPE_CHECKING:
    from napari_flomo.session import Earlier
    from napari_flomo.widgets.desk import Desk
    from napari_flomo.widgets.entries import Entry


def offer(desk: Desk, entry: Entry, event: EarlierFound) -> None:
    """Offer what the session found."""
    if event.earlier is None:
        desk.say(event.problem or "", "warning")
        return
    action = partial(bring_back, desk, entry, event.earlier)
    desk.say(
        words.earlier_text(len(event.earlier.places)),
        choices=[(words.EARLIER_TITLE, action, words.EARLIER_TIP)],
    )


def bring_back(desk: Desk, entry: Entry, found: Earlier) -> None:
    """Put the labels of that day into the layer, as one step of Undo; the slices are accepted."""
    image = None if desk.closed else desk.opened(entry)
    if image is None or image.labels is None or image.review is None or entry.labels is None:
        return
    grid = Grid.below(entry.image, image.volume)
    journalling.put_new_labels(desk, entry, grid.layer_data(found.over(image.labels)))
    desk.session.vouch(image.key, found.places)
    for place in found.places:
        journalling.note_accepted(entry, place)
    count = len(found.places)
    slices = "The slice is" if count == 1 else f"The {count} slices are"
    desk.say(f"{slices} as you accepted them; Ctrl+Z brings the network's labels back.")
