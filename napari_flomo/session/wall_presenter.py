"""Show and move the insertion points of the right ventricle."""

from __future__ import annotations

from collections.abc import Mapping

from napari_flomo.errors import FlomoError
from napari_flomo.measures import Insertions
from napari_flomo.session import measure_messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.messages import Choice, Message
from napari_flomo.session.phases import review_note, wall_insertions
from napari_flomo.session.preferences import Preferences
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.review_presenter import ReviewPresenter
from napari_flomo.session.session import Session
from napari_flomo.session.viewer import ViewerAdapter


class WallPresenter(ReviewPresenter):
    """The part of `Presenter` for the segments of the wall; see there for the parameters."""

    def __init__(self, session: Session, viewer: ViewerAdapter, preferences: Preferences) -> None:
        super().__init__(session, viewer)
        self._preferences = preferences

    def show_insertions(self, key: str | None) -> dict[SliceIndex, Insertions]:
        """Go to a slice with insertion points, unless one is on the screen, and return all points.

        Raises
        ------
        FlomoError
            If the image was not segmented, or there are none.
        """
        image = self._reviewed(key)
        self._viewer.read_labels(image.key)
        found = wall_insertions(image)
        if not found:
            raise FlomoError(measure_messages.NO_INSERTIONS)
        here = self._viewer.position(image.key)
        nearest = min(
            found, key=lambda one: (one.frame != here.frame, one.frame, abs(one.slice - here.slice))
        )
        if nearest != here:
            self._viewer.go_to(image.key, nearest)
        self._viewer.notify(Message(measure_messages.INSERTIONS_SHOWN, key=image.key))
        return found

    def move_insertions(self, key: str | None, moved: Mapping[SliceIndex, Insertions]) -> None:
        """Measure the wall by other insertion points in some slices.

        Raises `FlomoError` if the image was not segmented.
        """
        image = self._reviewed(key)
        text = measure_messages.moved_text([index.slice for index in moved])
        self._set_insertions(image, {**image.insertions, **moved}, text)

    def automatic_insertions(self, key: str | None) -> None:
        """Find all insertion points from the labels again.

        Raises `FlomoError` if the image was not segmented.
        """
        self._set_insertions(self._reviewed(key), {}, measure_messages.INSERTIONS_AUTOMATIC)

    def _set_insertions(
        self, image: OpenImage, insertions: Mapping[SliceIndex, Insertions], text: str
    ) -> None:
        """Remember moved points, and say that they changed, with a way back."""
        before = image.insertions

        def put(points: Mapping[SliceIndex, Insertions]) -> None:
            self._session.phases.set_insertions(image.key, points)
            self._preferences.set_review(image.hash, review_note(image))

        put(insertions)
        undo = self._attempt(lambda: put(before))
        choices = (Choice("Undo", undo, measure_messages.UNDO_INSERTIONS_TIP),)
        self._viewer.notify(Message(text, choices=choices, key=image.key))
