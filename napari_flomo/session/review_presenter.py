"""Steps of a review: what a viewer does when the user goes to a slice or accepts one."""

from __future__ import annotations

from collections.abc import Callable

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages, visibility_messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.messages import Message, Until
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.review_queue import queue_of
from napari_flomo.session.session import Session
from napari_flomo.session.viewer import ViewerAdapter
from napari_flomo.session.visibility import FOR_REVIEW, FOR_STEPS, Reasons


class ReviewPresenter:
    """The part of `Presenter` for reviews; see there for the parameters."""

    def __init__(self, session: Session, viewer: ViewerAdapter) -> None:
        self._session = session
        self._viewer = viewer
        self._at_first: dict[str, SliceIndex] = {}  # the slice on the screen when a run ended

    def begin_review(self, key: str) -> None:
        """Remember the slice on the screen, which the user has not chosen for review."""
        self._at_first[key] = self._viewer.position(key)

    def next(self, key: str | None) -> SliceIndex | None:
        """Go to the next uncertain slice and return it.

        None if all are accepted, or if the viewer does not show slices and says why.
        """
        return self._go(key, self._session.next_slice, messages.ALL_ACCEPTED)

    def previous(self, key: str | None) -> SliceIndex | None:
        """Go back in the review and return the slice.

        None at the first, or if the viewer does not show slices and says why.
        """
        return self._go(key, self._session.previous_slice, messages.FIRST_IN_REVIEW, Until.MOMENT)

    def go_to(self, key: str, index: SliceIndex) -> SliceIndex:
        """Show a slice and make it the current one of the review, if it is part of that."""
        self._viewer.go_to(key, index)
        review = self._session.image(key).review
        if review is not None and index in review.order and self.can_see(key):
            self._session.go_to(key, index)
        return index

    def can_see(self, key: str | None, reasons: Reasons = FOR_REVIEW) -> bool:
        """Return True if the user sees what a key or a button acts on; else say why not.

        Parameters
        ----------
        key
            The image; None raises an error.
        reasons
            What would make it invisible: one of the constants in `session.visibility`.

        Raises
        ------
        FlomoError
            If the image is not open.
        """
        if key is None:
            raise FlomoError(messages.NOTHING_TO_REVIEW)
        why = self._viewer.not_shown(key, reasons)
        if why is None:
            return True
        name, show = self._session.image(key).name, lambda: self._viewer.show_slices(key)
        message = visibility_messages.not_shown_message(why, name, key, self._attempt(show))
        self._viewer.notify(message)
        return False

    def accept(self, key: str | None, seen: SliceIndex | None = None) -> SliceIndex | None:
        """Accept the slice on the screen and go to the next; return that, None after the last.

        A slice that is accepted already is marked as not accepted. If the user has not yet gone to
        any slice, nor corrected the one on the screen, the first slice of the queue is shown
        instead: the review starts there. If the slice or its labels cannot be seen, nothing is
        accepted and a message says why.

        Parameters
        ----------
        key
            The image; None raises an error.
        seen
            The slice that the user meant. If another one is on the screen, nothing happens.

        Raises
        ------
        FlomoError
            If there is no review, or the slice was not segmented.
        """
        image = self._reviewed(key)
        if not self.can_see(image.key):
            return None
        self._viewer.read_labels(image.key)
        here = self._viewer.position(image.key)
        assert image.review is not None
        if seen not in (None, here):
            return None
        if self._is_untouched(image, here):
            first = self.next(key)
            self._viewer.notify(Message(messages.STARTS_HERE, key=key))
            return first
        if image.review.is_accepted(here):
            self.take_back(image.key, here)
            return here
        self._session.go_to(image.key, here)
        return self._go(key, self._session.accept, messages.ALL_ACCEPTED)

    def take_back(self, key: str, index: SliceIndex) -> None:
        """Mark an accepted slice as not accepted."""
        if self._session.reopen(key, index):
            text = messages.taken_back_text(index, self._session.image(key).volume)
            self._viewer.notify(Message(text, key=key))

    def undo_accept(self, key: str | None) -> bool:
        """Take back the last acceptance and go to its slice, or say why that cannot be seen.

        Return False if the labels were changed since, so that Undo means that change.
        """
        if key is None:
            return False
        self._viewer.read_labels(key)
        undoable = self._session.image(key).undoable
        if not undoable:
            return False
        if not self.can_see(key, FOR_STEPS):
            return True
        index = undoable[-1]
        self._session.go_to(key, index)
        self._viewer.go_to(key, index)
        self.take_back(key, index)
        return True

    def _go(
        self,
        key: str | None,
        step: Callable[[str], SliceIndex | None],
        at_the_end: str,
        until: Until = Until.ACTION,
    ) -> SliceIndex | None:
        image = self._reviewed(key)
        self._viewer.read_labels(image.key)
        if not self.can_see(image.key, FOR_STEPS):
            return None
        index = step(image.key)
        if index is None:
            self._viewer.notify(Message(at_the_end, key=key, until=until))
        else:
            self._viewer.go_to(image.key, index)
        return index

    def _is_untouched(self, image: OpenImage, here: SliceIndex) -> bool:
        """Return True if the review has not begun and the view is as the run left it."""
        review = image.review
        if review is None or review.current is not None or here in queue_of(image)[:1]:
            return False
        moved = here != self._at_first.get(image.key)
        return not moved and not (here in review.order and review.edits(here))

    def _reviewed(self, key: str | None) -> OpenImage:
        image = None if key is None else self._session.image(key)
        if image is None or image.review is None:
            raise FlomoError(messages.NOTHING_TO_REVIEW)
        return image

    def _attempt(self, action: Callable[[], object]) -> Callable[[], None]:
        """Return an action that shows the message of a `FlomoError` instead of raising it."""

        def attempt() -> None:
            try:
                action()
            except FlomoError as error:
                self._viewer.notify(Message(str(error), "warning"))

        return attempt
