"""Open images, runs and corrections: the state behind a viewer, without any window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_flomo.corrections import Replay
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Worker
from napari_flomo.measures import HeartMeasures
from napari_flomo.session import editing, messages, recovery, review_actions
from napari_flomo.session.autosave import Autosave, EditKind
from napari_flomo.session.correction_writer import CorrectionWriter
from napari_flomo.session.earlier_labels import EarlierLabels
from napari_flomo.session.events import (
    AutosaveChanged,
    CorrectionKept,
    EarlierFound,
    Event,
    ImageAdded,
    ImageRemoved,
    ImageRenamed,
    LabelsChanged,
    LocksChanged,
    ReviewChanged,
)
from napari_flomo.session.findings import heart_of
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.merging import card_of, check_labels_agree
from napari_flomo.session.observers import Observers
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.review_actions import review_of
from napari_flomo.session.run_results import Dispatch, RunFollower
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.session.segmenting import check_slice_axis, maps_run, segmentation_run
from napari_flomo.volumes import Volume

Observer = Callable[[Event], None]


class Session:
    """The open images and the work on them, without any window.

    Parameters
    ----------
    worker
        Does the long work; a `Worker` of its own by default.
    dispatch
        Called from other threads with a function that a viewer must call in its own thread (in Qt:
        by a queued signal). The session changes and its observers are called only there. By default
        the function is called at once.
    writer
        Keeps accepted slices in a store of corrections; without one, nothing is kept.

    Notes
    -----
    Apart from ``dispatch``, all methods belong to one thread, the viewer's, and none of them waits.
    """

    def __init__(
        self,
        worker: Worker | None = None,
        dispatch: Dispatch | None = None,
        writer: CorrectionWriter | None = None,
    ) -> None:
        self._worker = worker or Worker()
        self._dispatch = dispatch or _at_once
        self._writer = writer
        if writer is not None:
            writer.listen(lambda kept: self._dispatch(lambda: self._on_kept(kept)))
        self._images: dict[str, OpenImage] = {}
        self._numbers = itertools.count(1)
        self._observers = Observers[[Event]]()
        self._runs = RunFollower(self._dispatch, self._images, self._observers.notify)

    # Images

    @property
    def images(self) -> tuple[OpenImage, ...]:
        """All open images, in the order in which they were added."""
        return tuple(self._images.values())

    def image(self, key: str) -> OpenImage:
        """Return an open image.

        Raises
        ------
        FlomoError
            If it is not open (any more).
        """
        try:
            return self._images[key]
        except KeyError:
            raise FlomoError(messages.NOT_OPEN) from None

    def add(self, volume: Volume, name: str) -> str:
        """Open an image and return its key."""
        key = f"image-{next(self._numbers)}"
        self._images[key] = OpenImage(key, name, volume)
        self._observers.notify(ImageAdded(key))
        return key

    def rename(self, key: str, name: str) -> None:
        """Rename an image."""
        self.image(key).name = name
        self._observers.notify(ImageRenamed(key, name))

    def remove(self, key: str) -> None:
        """Close an image; a run on it is cancelled. Unsaved edits are offered at the next start."""
        self.labels_removed(key)
        del self._images[key]
        if self.running is not None and self.running.key == key:
            self.running.cancel()
        self._observers.notify(ImageRemoved(key))

    # Work

    @property
    def running(self) -> Run | None:
        """The run under way, until its result is taken in."""
        return self._runs.running

    def check_idle(self) -> None:
        """Raise `Busy` while a run is under way."""
        self._runs.check_idle()

    def segment(
        self,
        key: str,
        model: str,
        device: str = "auto",
        scope: Scope | None = None,
        *,
        mirrored: bool = False,
    ) -> Run:
        """Start to segment an image, or a part of it.

        When the run ends, labels, uncertainty maps, scores and review of the image are merged with
        the new ones within the scope; elsewhere, and where labels are locked, nothing changes.

        Parameters
        ----------
        key
            The image.
        model
            Name or folder.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.
        scope
            What part; all by default.
        mirrored
            Whether to average over mirrored views, see `Segmenter.segment`.

        Raises
        ------
        Busy
            If something is under way.
        FlomoError
            If the image or the scope does not exist, it is not clear which axis of the image is
            the slice axis, or the labels that would be kept mean something else in this model.
        """
        image = self.image(key)
        scope = scope or Scope()
        scope.mask(image.volume.n_frames, image.volume.n_slices)
        self.check_idle()
        check_slice_axis(image.volume)
        check_labels_agree(image, scope, card_of(model))
        run = segmentation_run(self._worker, image, model, device, scope, mirrored=mirrored)
        return self._runs.follow(run)

    def uncertainty(
        self, key: str, device: str = "auto", maps: Sequence[str] = (), model: str | None = None
    ) -> Run:
        """Start to compute uncertainty maps of a segmented image; labels and review are kept.

        Parameters
        ----------
        key
            The image.
        device
            As in `segment`.
        maps
            Names of the maps; by default the one that every run brings.
        model
            Folder or name of the model that segmented the image, where its name is not enough.

        Raises
        ------
        Busy, FlomoError
            As `segment`.
        """
        image = self.image(key)
        self.check_idle()
        return self._runs.follow(maps_run(self._worker, image, model, device, maps))

    def pull(self, model: str) -> Run:
        """Start to download a model; the result is its folder, as text. Raises `Busy`."""
        self.check_idle()
        run = Run("pull", model=model)
        self._worker.submit(run, {"model": model}, unpack=lambda _, result: result["folder"])
        return self._runs.follow(run)

    # Corrections

    def edit(
        self,
        key: str,
        indices: NDArray[Any],
        old: NDArray[Any],
        new: NDArray[Any],
        kind: EditKind = "stroke",
    ) -> list[SliceIndex]:
        """Apply a change of labels, record it on disk, measure it and reopen accepted slices.

        Returns at once; the disk is written in a thread.

        Parameters
        ----------
        key
            The image.
        indices
            Flat indices in C order into the labels of the image, ascending.
        old, new
            Labels before and after, one for each index.
        kind
            ``"stroke"`` counts as an edit of its slices; ``"undo"`` takes one off.

        Returns
        -------
        list of SliceIndex
            The slices that were changed.
        """
        image = self.image(key)
        on_problem = partial(self._on_autosave_problem, key)
        edited = editing.edit(image, indices, old, new, kind, on_problem=on_problem)
        for index in edited:
            self._observers.notify(LabelsChanged(key, index.frame, index.slice))
            self.reopen(key, index)
        return edited

    def set_labels(self, key: str, labels: NDArray[Any]) -> None:
        """Replace the labels of an image, as a restore or an import does.

        Raises
        ------
        FlomoError
            If they are no integers or not on its grid.
        """
        editing.replace_labels(self.image(key), labels)
        self._observers.notify(LabelsChanged(key))

    def labels_saved(self, key: str) -> None:
        """Report that the labels were saved to a file: there are no unsaved edits any more."""
        self.image(key).end_autosave(saved=True)

    def labels_removed(self, key: str) -> None:
        """Report that the viewer closed the labels; unsaved edits are offered at the next start."""
        image = self.image(key)
        image.recalled = False
        image.end_autosave(saved=False)

    def restore(self, key: str, found: Replay, resume: Path | None = None) -> None:
        """Restore labels, locks and review of an image from a journal.

        Parameters
        ----------
        key
            The image.
        found
            What the journal holds; see `recovery.restore` for errors.
        resume
            Folder of the journal, to continue it.
        """
        image = self.image(key)
        recovery.restore(image, found)
        if resume is not None:
            on_problem = partial(self._on_autosave_problem, key)
            image.autosave = Autosave.resume(resume, on_problem)
        self._notify_restored(image)

    def restore_saved(
        self,
        key: str,
        note: Mapping[str, Any],
        proposed: Volume,
        labels: Volume,
        uncertainty: Mapping[str, Volume],
    ) -> None:
        """Restore what a scene was saved with; see `recovery.restore_saved`."""
        image = self.image(key)
        recovery.restore_saved(image, note, proposed, labels, uncertainty)
        self._notify_restored(image)

    def lock(self, key: str, code: int, locked: bool = True) -> None:
        """Lock a label against edits and runs, or unlock it."""
        image = self.image(key)
        image.locked = image.locked | {code} if locked else image.locked - {code}
        if image.autosave is not None:
            image.autosave.record_locked(code, locked)
        self._observers.notify(LocksChanged(key, image.locked))

    def measures(self, key: str) -> HeartMeasures | None:
        """Return volumes, EF and mass of the labels as they are now; quick enough for a brush.

        None before the first run, or where the model knows no heart.
        """
        return heart_of(self.image(key))

    # Review

    def next_slice(self, key: str) -> SliceIndex | None:
        """Move to the next uncertain slice and return it; None if all are accepted."""
        return self._reviewed(key, review_of(self.image(key)).next())

    def previous_slice(self, key: str) -> SliceIndex | None:
        """Move back in the review and return the slice; None at the first."""
        return self._reviewed(key, review_of(self.image(key)).previous())

    def go_to(self, key: str, index: SliceIndex) -> SliceIndex | None:
        """Move to a slice of the review and return it."""
        self.image(key).activity.tick()
        return self._reviewed(key, review_of(self.image(key)).go_to(index))

    def accept(self, key: str) -> SliceIndex | None:
        """Accept the current slice, keep it for learning, and return the next; None if finished."""
        image = self.image(key)
        following = review_actions.accept(image)
        self._keep(image)
        return self._reviewed(key, following)

    def reopen(self, key: str, index: SliceIndex) -> bool:
        """Take back that a slice was accepted; return True if it was."""
        image = self.image(key)
        if not review_actions.reopen(image, index):
            return False
        self._keep(image)
        self._reviewed(key, index)
        return True

    def recall(self, key: str) -> None:
        """Look, in a thread, for slices of an image that were accepted on an earlier day.

        Slices whose labels are the same are accepted again; if others differ, observers are told
        with `EarlierFound`, and `bring_back` shows those labels.
        """
        image = self.image(key)
        image.recalled = True
        if self._writer is not None:
            self._writer.look_for_earlier(
                image, lambda found: self._dispatch(lambda: self._recalled(image, found))
            )

    def bring_back(self, key: str) -> frozenset[SliceIndex]:
        """Replace labels by those of an earlier day and accept them; return their slices."""
        image = self.image(key)
        earlier, image.earlier = image.earlier, None
        if earlier is None or image.labels is None:
            return frozenset()
        self.set_labels(key, earlier.over(image.labels).data)
        review_actions.confirm(image, earlier.slices)
        self._observers.notify(ReviewChanged(key))
        return earlier.slices

    # Observers

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer(event)`` on every change; returns a function that ends it."""
        return self._observers.add(observer)

    def close(self) -> None:
        """Cancel a run, end the worker, write accepted slices; observers are called no more."""
        self._runs.close()
        for key in self._images:
            self.labels_removed(key)
        self._observers.clear()
        self._worker.close()
        if self._writer is not None:
            self._writer.close()

    def _notify_restored(self, image: OpenImage) -> None:
        self._observers.notify(LabelsChanged(image.key))
        self._observers.notify(LocksChanged(image.key, image.locked))
        self._observers.notify(ReviewChanged(image.key))

    def _on_autosave_problem(self, key: str, problem: str | None) -> None:
        self._dispatch(lambda: self._observers.notify(AutosaveChanged(key, problem)))

    def _keep(self, image: OpenImage) -> None:
        if self._writer is not None:
            self._writer.keep(image)

    def _on_kept(self, kept: CorrectionKept) -> None:
        image = self._images.get(kept.key)
        if image is not None:
            image.kept = kept
            self._observers.notify(kept)

    def _recalled(self, image: OpenImage, found: EarlierLabels | FlomoError) -> None:
        if self._images.get(image.key) is not image:
            return
        if isinstance(found, FlomoError):
            problem = messages.EARLIER_UNREADABLE.format(found)
            self._observers.notify(EarlierFound(image.key, None, problem))
            return
        image.earlier = review_actions.confirm_unchanged(image, found)
        self._observers.notify(ReviewChanged(image.key))
        if image.earlier is not None:
            self._observers.notify(EarlierFound(image.key, image.earlier))

    def _reviewed(self, key: str, index: SliceIndex | None) -> SliceIndex | None:
        self._observers.notify(ReviewChanged(key))
        return index


def _at_once(action: Callable[[], None]) -> None:
    action()
