"""What a person accepted of an image on an earlier day is offered again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from napari_flomo.errors import FlomoError
from napari_flomo.session.correction_writer import CorrectionWriter
from napari_flomo.session.corrections_sync import Earlier, vouch
from napari_flomo.session.events import EarlierFound, Event, ReviewChanged
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.run_results import Dispatch

Found = Earlier | FlomoError


def look(
    writer: CorrectionWriter,
    image: OpenImage,
    dispatch: Dispatch,
    arrived: Callable[[OpenImage, Found], None],
) -> None:
    """Look for earlier corrections of an image in a thread.

    ``arrived`` is called, by way of ``dispatch``, only if there are some, or if the store cannot be
    read.
    """

    def work() -> None:
        try:
            found: Found | None = writer.earlier(image)
        except FlomoError as error:
            found = error
        if found is not None:
            dispatch(lambda: arrived(image, found))

    threading.Thread(target=work, name="flomo earlier", daemon=True).start()


def take_in(image: OpenImage, found: Found) -> list[Event]:
    """Call slices accepted whose labels are those of that day; return what is to be told."""
    if isinstance(found, FlomoError):
        said = f"What you accepted of this image earlier cannot be read: {found}"
        return [EarlierFound(image.key, None, said)]
    if image.labels is None or image.review is None:
        return []
    differing = found.differing(image.labels)
    vouch(image.review, image, found.places - differing)
    accepted = ReviewChanged(image.key)
    if not differing:
        return [accepted]
    return [accepted, EarlierFound(image.key, Earlier(differing, found.labels))]
