"""Labels that would be lost with their image: asked about before, and offered again after."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import unsaved_messages
from napari_flomo.session.events import LabelsChanged, LocksChanged, ReviewChanged
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.messages import Choice, Message, Until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_flomo.session.session import Session
    from napari_flomo.session.viewer import ViewerAdapter

_OF_THE_LAYER = frozenset({"key", "name", "volume", "safe_name", "autosave", "steps", "spare"})


def labels_at_risk(session: Session) -> tuple[OpenImage, ...]:
    """Return the images whose labels are neither in a file nor in a journal of strokes."""
    return tuple(image for image in session.images if is_at_risk(image))


def is_at_risk(image: OpenImage) -> bool:
    """Return True if closing an image would lose its labels."""
    return image.unsaved and image.labels is not None and image.autosave is None


def give_up(images: Sequence[OpenImage]) -> None:
    """Note that the user does not want to save the labels of images: nobody asks again."""
    for image in images:
        image.unsaved = False


class RemovedLabels:
    """Offers to bring back images that were removed with labels at risk.

    Parameters
    ----------
    session, viewer
        As of `Presenter`.
    show_labels
        Shows the labels of an image in the viewer and selects them.
    """

    def __init__(
        self, session: Session, viewer: ViewerAdapter, show_labels: Callable[[str], None]
    ) -> None:
        self._session = session
        self._viewer = viewer
        self._show_labels = show_labels
        self._removed: list[OpenImage] = []

    def removing(self, image: OpenImage) -> None:
        """Report that the user removes an image; several at once are offered together."""
        if is_at_risk(image):
            self._removed.append(image)
            self._viewer.dispatch(self._offer)

    def _offer(self) -> None:
        images, self._removed = self._removed, []
        if not images or self._session.closed:
            return
        title, tip = unsaved_messages.BRING_BACK
        choice = Choice(title, lambda: self._bring_back(images), tip)
        text = unsaved_messages.removed_text([image.name for image in images])
        self._viewer.notify(Message(text, "warning", choices=(choice,), until=Until.ANSWER))

    def _bring_back(self, images: Sequence[OpenImage]) -> None:
        for image in images:
            try:
                self._open_again(image)
            except FlomoError as error:
                self._viewer.notify(Message(str(error), "warning"))

    def _open_again(self, before: OpenImage) -> None:
        key = self._viewer.add_image(before.volume, before.name)
        image = self._session.image(key)
        for one in fields(OpenImage):
            if one.name not in _OF_THE_LAYER:
                setattr(image, one.name, getattr(before, one.name))
        self._show_labels(key)
        for event in (LabelsChanged(key), LocksChanged(key, image.locked), ReviewChanged(key)):
            self._session.notify(event)
