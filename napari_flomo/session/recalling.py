"""Bring slices that were accepted on an earlier day back into a new run of the same image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.session.correction_writer import CorrectionWriter
from napari_flomo.session.earlier_labels import EarlierLabels, with_slices
from napari_flomo.session.editing import replace_labels
from napari_flomo.session.events import EarlierFound, Event, LabelsChanged, ReviewChanged
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.overwrite import overwritten_by
from napari_flomo.session.phases import recall_review
from napari_flomo.session.review import SliceIndex, SliceState
from napari_flomo.session.review_actions import confirm, review_of
from napari_flomo.session.scope import Scope
from napari_flomo.session.undoing import begin_step

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmentation


class EarlierReviews:
    """Finds and restores what was accepted of the images of a session on an earlier day.

    Parameters
    ----------
    image_of
        Returns an image by its key; raises `FlomoError` if it is not open.
    notify
        Gets the events.
    dispatch
        Passes a function on to the viewer's thread.
    writer
        Searches the store; None if nothing is stored.
    """

    def __init__(
        self,
        image_of: Callable[[str], OpenImage],
        notify: Callable[[Event], None],
        dispatch: Callable[[Callable[[], None]], None],
        writer: CorrectionWriter | None,
    ) -> None:
        self._image_of = image_of
        self._notify = notify
        self._dispatch = dispatch
        self._writer = writer

    def search(self, key: str) -> None:
        """Search, in a thread, for slices that were segmented since the last call.

        If some were accepted on an earlier day, observers get `EarlierFound`, and `bring_back`
        restores them.
        """
        image = self._image_of(key)
        slices, basis = frozenset(review_of(image).order) - image.recalled, image.segmentation
        image.recalled |= slices
        if slices and self._writer is not None:
            self._writer.find_earlier(
                image,
                lambda found: self._dispatch(lambda: self._found(image, slices, basis, found)),
            )

    def bring_back(self, key: str) -> EarlierLabels | None:
        """Show the labels that were found and accept their slices, as a step of undo.

        Slices that were corrected or accepted since the run are left alone. Returns what was
        brought back, if anything; without labels if those have other structures.
        """
        image = self._image_of(key)
        earlier, image.earlier = image.earlier, None
        if earlier is None or earlier.labels is None or image.labels is None:
            return earlier
        slices = earlier.slices & frozenset(review_of(image).order)
        slices -= overwritten_by(image, Scope()).all
        if not slices:
            return None
        begin_step(image)
        replace_labels(image, with_slices(image.labels, earlier.labels, slices).data)
        confirm(image, slices)
        image.brought_back |= slices
        self._notify(LabelsChanged(key))
        self._notify(ReviewChanged(key))
        return replace(earlier, slices=slices)

    def resume(self, key: str, remembered: Mapping[str, Any]) -> SliceIndex | None:
        """Restore the review and the phases that `review_note` returned; return the current slice.

        Slices that were accepted then are only seen: the labels on the screen are the network's.
        Raises `FlomoError` if it is of another image.
        """
        image = self._image_of(key)
        recall_review(image, remembered)
        review = review_of(image)
        for index in review.order:
            if review.state(index) is SliceState.ACCEPTED:
                review.reopen(index)
        self._notify(ReviewChanged(key))
        return review.current

    def _found(
        self,
        image: OpenImage,
        slices: frozenset[SliceIndex],
        basis: Segmentation | None,
        found: EarlierLabels | FlomoError,
    ) -> None:
        try:
            if self._image_of(image.key) is not image:
                return
        except FlomoError:  # it was closed
            return
        if isinstance(found, FlomoError):
            problem = messages.EARLIER_UNREADABLE.format(found)
            self._notify(EarlierFound(image.key, None, problem))
        elif image.segmentation is not basis:  # another run ended meanwhile
            image.recalled -= slices
            self.search(image.key)
        elif found.slices & slices:
            image.earlier = replace(found, slices=found.slices & slices)
            self._notify(EarlierFound(image.key, image.earlier))
