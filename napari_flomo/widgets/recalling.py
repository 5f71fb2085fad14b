"""What was accepted of an image on an earlier day is offered again, with the labels of that day."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from napari_flomo.corrections import default_store
from napari_flomo.errors import FlomoError
from napari_flomo.session import Earlier, ReviewChanged, find_earlier, vouch
from napari_flomo.widgets import journalling
from napari_flomo.widgets.layers import Grid

if TYPE_CHECKING:
    from napari_flomo.widgets.desk import Desk
    from napari_flomo.widgets.entries import Entry


def look(desk: Desk, entry: Entry) -> None:
    """Look for earlier corrections of an image that was just segmented, in another thread."""
    image, reader = desk.opened(entry), desk.preferences.reader
    folder = default_store()
    if image is None or not folder.is_dir():
        return

    def work() -> None:
        try:
            found = find_earlier(image, folder, reader)
        except FlomoError as error:
            said = f"What you accepted of this image earlier cannot be read: {error}"
            desk.in_thread(lambda: desk.say(said, "warning"))
        else:
            if found is not None:
                desk.in_thread(lambda: _offer(desk, entry, found))

    threading.Thread(target=work, name="flomo earlier", daemon=True).start()


def bring_back(desk: Desk, entry: Entry, found: Earlier) -> None:
    """Put the labels of that day into the layer, as one step of Undo; the slices are accepted."""
    image = None if desk.closed else desk.opened(entry)
    if image is None or image.labels is None or image.review is None or entry.labels is None:
        return
    grid = Grid.of(image.volume, entry.image.ndim)
    journalling.put_new_labels(desk, entry, grid.layer_data(found.over(image.labels)))
    vouch(image.review, image, found.places)
    for place in found.places:
        journalling.note_accepted(entry, place)
    desk.tell(ReviewChanged(image.key))
    count = len(found.places)
    slices = "The slice is" if count == 1 else f"The {count} slices are"
    desk.say(f"{slices} as you accepted them; Ctrl+Z brings the network's labels back.")


def _offer(desk: Desk, entry: Entry, found: Earlier) -> None:
    """Offer what differs; what is the same already needs no question."""
    image = None if desk.closed else desk.opened(entry)
    if image is None or image.labels is None or image.review is None:
        return
    differing = found.differing(image.labels)
    vouch(image.review, image, found.places - differing)
    desk.tell(ReviewChanged(image.key))
    if differing:
        count = len(differing)
        slices = "a slice" if count == 1 else f"{count} slices"
        action = partial(bring_back, desk, entry, Earlier(differing, found.labels))
        tip = "Put your labels of these slices in place of the network's; one Undo takes them back"
        desk.say(
            f"You corrected {slices} of this image before.",
            choices=[("Bring them back", action, tip)],
        )
