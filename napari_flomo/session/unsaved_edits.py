"""List, restore and discard the edits that crashes left unsaved."""

from __future__ import annotations

import threading
from collections.abc import Callable

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Busy
from napari_flomo.session import unsaved_messages
from napari_flomo.session.events import UnsavedFound
from napari_flomo.session.messages import Choice, Message, Until
from napari_flomo.session.restoring import Restoring
from napari_flomo.session.session import Session
from napari_flomo.session.unsaved import UnsavedWork, unsaved_work
from napari_flomo.session.viewer import ViewerAdapter


class UnsavedEdits:
    """What a viewer does with unsaved edits.

    Parameters
    ----------
    session, viewer
        As of `Presenter`.
    show_labels
        Shows the labels of an image in the viewer.

    Attributes
    ----------
    restoring
        The last restore; None before the first.
    """

    def __init__(
        self, session: Session, viewer: ViewerAdapter, show_labels: Callable[[str], None]
    ) -> None:
        self._session = session
        self._viewer = viewer
        self._show_labels = show_labels
        self.restoring: Restoring | None = None

    def find(self) -> None:
        """List unsaved edits in a thread; observers of the session get `UnsavedFound`."""

        def find() -> None:
            try:
                works = unsaved_work()
            except FlomoError as error:
                message = Message(str(error), "warning")
                self._viewer.dispatch(lambda: self._viewer.notify(message))
            else:
                self._viewer.dispatch(lambda: self._session.notify(UnsavedFound(works)))

        threading.Thread(target=find, name="flomo unsaved", daemon=True).start()

    def restore(self, work: UnsavedWork) -> Restoring:
        """Start to show labels as they were after the last stroke; see `Restoring`.

        Raises
        ------
        Busy
            If others are being restored.
        """
        if self.restoring is not None and not self.restoring.ended:
            raise Busy(unsaved_messages.RESTORE_BUSY)
        self.restoring = Restoring(work, self._session, self._viewer, self._show_labels)
        self.restoring.start()
        return self.restoring

    def discard(self, work: UnsavedWork) -> None:
        """Ask whether to remove unsaved edits for good."""

        def remove() -> None:
            try:
                work.discard()
            except FlomoError as error:
                self._viewer.notify(Message(str(error), "warning"))
            self.find()

        title, tip = unsaved_messages.DISCARD_ANSWER
        text, choices = unsaved_messages.discard_text(work.journal), (Choice(title, remove, tip),)
        self._viewer.ask(Message(text, choices=choices, until=Until.ANSWER))
