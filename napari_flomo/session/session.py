"""What is open, what runs and what was found: the state behind a viewer's panels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from napari_flomo.jobs import Worker
from napari_flomo.measures import HeartMeasures
from napari_flomo.session.events import Event
from napari_flomo.session.images import OpenImage
from napari_flomo.session.merging import Scope
from napari_flomo.session.review import Place
from napari_flomo.session.runs import Run
from napari_flomo.volumes import Volume

Observer = Callable[[Event], None]
Dispatch = Callable[[Callable[[], None]], None]


class Session:
    """The images that are open and the work on them, without any window.

    Parameters
    ----------
    worker
        Does the long work; a `Worker` of its own by default.
    dispatch
        Called, from another thread, with a function of no arguments that takes in what a run
        reports. A viewer runs it on its own thread (in Qt: by a queued signal), so that the session
        changes and its observers are called there and nowhere else. By default it is run at once.

    Notes
    -----
    Apart from ``dispatch``, all methods belong to one thread, the viewer's, and none of them waits.
    """

    def __init__(self, worker: Worker | None = None, dispatch: Dispatch | None = None) -> None:
        raise NotImplementedError

    # Images

    @property
    def images(self) -> tuple[OpenImage, ...]:
        """All open images, in the order they came."""
        raise NotImplementedError

    def image(self, key: str) -> OpenImage:
        """Return an open image.

        Raises
        ------
        FlomoError
            If it is not open (any more).
        """
        raise NotImplementedError

    def add(self, volume: Volume, name: str) -> str:
        """Open an image and return its key."""
        raise NotImplementedError

    def rename(self, key: str, name: str) -> None:
        """Call an image otherwise; runs go on."""
        raise NotImplementedError

    def remove(self, key: str) -> None:
        """Close an image; a run on it is cancelled and its result dropped."""
        raise NotImplementedError

    # Work

    @property
    def running(self) -> Run | None:
        """What is under way, until its result is taken in."""
        raise NotImplementedError

    def segment(
        self,
        key: str,
        model: str,
        device: str = "auto",
        scope: Scope | None = None,
    ) -> Run:
        """Start to segment an image, or a part of it.

        When the run ends, labels, doubt maps, scores and review of the image are merged with the
        new ones within the scope; elsewhere, and where labels are locked, nothing changes.

        Parameters
        ----------
        key
            The image.
        model
            Name or folder, as everywhere.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.
        scope
            What part; all by default.

        Raises
        ------
        Busy
            If something is under way.
        FlomoError
            If the image or the scope does not exist, or the labels that would be kept mean
            something else in this model.
        """
        raise NotImplementedError

    def pull(self, model: str) -> Run:
        """Start to fetch a model; the result is its folder, as text. Raises `Busy`."""
        raise NotImplementedError

    def devices(self) -> Run:
        """Start to look for devices; see ``napari_flomo.commands.tasks.devices``. Raises `Busy`."""
        raise NotImplementedError

    # Corrections

    def edited(self, key: str, place: Place, strokes: int = 1) -> None:
        """Take note that a slice of ``image.labels`` was painted in place: count, measure, tell.

        Parameters
        ----------
        key
            The image.
        place
            Frame and slice.
        strokes
            1 for a stroke, -1 for one undone, 0 to only measure.
        """
        raise NotImplementedError

    def set_labels(self, key: str, labels: NDArray[Any]) -> None:
        """Replace the labels of an image, as a restore or an import does.

        Raises
        ------
        FlomoError
            If they are no integers or not on its grid.
        """
        raise NotImplementedError

    def lock(self, key: str, code: int, locked: bool = True) -> None:
        """Call a label finished, or not finished any more."""
        raise NotImplementedError

    def measures(self, key: str) -> HeartMeasures | None:
        """Return volumes, EF and mass of the labels as they are now; quick enough for a brush.

        None before the first run, or where the model knows no heart.
        """
        raise NotImplementedError

    # Review: each returns where the viewer goes, or None for nowhere.

    def review_next(self, key: str) -> Place | None:
        """Move to the next doubtful slice."""
        raise NotImplementedError

    def review_previous(self, key: str) -> Place | None:
        """Move back in the review."""
        raise NotImplementedError

    def review_go_to(self, key: str, place: Place) -> Place:
        """Move to a slice of the review."""
        raise NotImplementedError

    def review_accept(self, key: str) -> Place | None:
        """Accept the current slice and move on."""
        raise NotImplementedError

    # Observers

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer(event)`` on every change; returns a function that ends it."""
        raise NotImplementedError

    def close(self) -> None:
        """Cancel what runs and let the worker end; nothing is told any more."""
        raise NotImplementedError
