"""The interface of a viewer for `Presenter`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from napari_flomo.session.messages import Message
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.visibility import FOR_REVIEW, NotShown, Reasons
from napari_flomo.volumes import Volume


class ViewerAdapter(Protocol):
    """The interface of napari or 3D Slicer for `Presenter`.

    An adapter makes no decisions. Images are identified by their key in the
    session. Every method but `dispatch` and `warm_up` is called in the thread of the viewer.

    Attributes
    ----------
    undo_hint
        How a user undoes the last change of labels: ``"Ctrl+Z on the labels"``.
    """

    undo_hint: str

    def dispatch(self, action: Callable[[], None]) -> None:
        """Have a function called in the thread of the viewer; called from any thread."""

    def notify(self, message: Message) -> None:
        """Show a message, with a button for each of its choices, in place of the last one."""

    def ask(self, question: Message) -> None:
        """Ask a question; the action of the chosen choice is called, none if the user cancels.

        The first choice is the default.
        """

    def chosen_image(self) -> str | None:
        """Return the key of the image that is chosen now; None if that is not known cheaply."""

    def position(self, key: str) -> SliceIndex:
        """Return the slice of an image that is on the screen, or the nearest one."""

    def not_shown(self, key: str, reasons: Reasons = FOR_REVIEW) -> NotShown | None:
        """Return the first of ``reasons`` why slices or results of an image cannot be seen.

        None if none of them holds.
        """

    def show_slices(self, key: str) -> None:
        """Show the slices of an image and their labels, whatever `not_shown` says."""

    def go_to(self, key: str, index: SliceIndex) -> None:
        """Show a slice of an image."""

    def warm_up(self) -> None:
        """Load what the first image and labels of a process need; called from any thread."""

    def prepare_image(self, volume: Volume) -> None:
        """Do what shortens a call of `add_image` in a later turn."""

    def add_image(self, volume: Volume, name: str) -> str:
        """Show a new image, open it in the session and return its key."""

    def remove_image(self, key: str) -> None:
        """Remove an image that `add_image` added."""

    def read_labels(self, key: str) -> None:
        """Report strokes that the session does not know yet to `Session.edit`."""

    def show_labels(self, key: str) -> None:
        """Show the labels and the colours that the session has of an image.

        What the user works on, see `focus`, does not change.
        If `OpenImage.steps` is at another step than the labels on the screen, the change is one
        step of undo; an undo or redo that leads back is reported to `Session.edit` with its step.
        """

    def show_contours(self, contours: bool) -> bool:
        """Show the labels of all images as contours, or filled.

        Return True if any of them can be seen.
        """

    def focus(self) -> object:
        """Return what the user works on: image, layer, tool, slice and view.

        Two results are equal if the user changed nothing between the calls.
        """

    def select_labels(self, key: str) -> None:
        """Show the slices of an image and give the tools its labels."""

    def show_map(self, key: str, name: str = "") -> None:
        """Show an uncertainty map; by default the one that was shown before."""
