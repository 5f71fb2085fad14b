"""Open images, runs and corrections: the state behind a viewer, without a window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from napari_flomo.corrections import Journal
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Worker
from napari_flomo.measures import Conventions, Flag, HeartMeasures, VolumeCurve
from napari_flomo.session import editing, messages, recovery, review_actions, undoing
from napari_flomo.session.autosave import Autosave, EditKind
from napari_flomo.session.correction_writer import CorrectionWriter
from napari_flomo.session.events import (
    AutosaveChanged,
    ConventionsChanged,
    CorrectionKept,
    Event,
    ImageAdded,
    ImageRemoved,
    ImageRenamed,
    LabelsChanged,
    LocksChanged,
    ReviewChanged,
    StepRestored,
)
from napari_flomo.session.findings import curves_of, flags_of, heart_of
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.observers import Observers
from napari_flomo.session.phases import Phases
from napari_flomo.session.queue_filter import QueueFilter
from napari_flomo.session.recalling import EarlierReviews
from napari_flomo.session.recovery import Restored
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.review_actions import review_of
from napari_flomo.session.review_queue import queue_of
from napari_flomo.session.run_queue import Dispatch, RunQueue
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.session.segmenting import maps_run, segmentation_run, study_run, submit
from napari_flomo.session.steps import Steps
from napari_flomo.volumes import Volume

Observer = Callable[[Event], None]


class Session:
    """The open images and the work on them, without a window.

    Parameters
    ----------
    worker
        Runs segmentations and downloads; created by default.
    dispatch
        Called from other threads with a function that a viewer must call in its own thread (in Qt:
        by a queued signal). The session changes and its observers are called only there. By default
        the function is called directly.
    writer
        Writes accepted slices to a store of corrections; without one, none are stored.

    Attributes
    ----------
    closed, notify
        Whether `close` was called; sends an event to the observers.

    Notes
    -----
    Call all methods in one thread, the viewer's; none of them blocks.
    """

    def __init__(
        self,
        worker: Worker | None = None,
        dispatch: Dispatch | None = None,
        writer: CorrectionWriter | None = None,
    ) -> None:
        self._worker = worker or Worker()
        self._dispatch = dispatch or (lambda action: action())
        self._writer = writer
        if writer is not None:
            writer.listen(lambda kept: self._dispatch(lambda: self._on_kept(kept)))
        self._images: dict[str, OpenImage] = {}
        self._numbers = itertools.count(1)
        self._observers = Observers[[Event]]()
        self.notify = self._observers.notify
        self.closed, self._conventions = False, Conventions()
        self._runs = RunQueue(self._dispatch, self._images, self.notify)
        self.phases = Phases(self.image, self.notify)
        self.earlier = EarlierReviews(self.image, self.notify, self._dispatch, writer)

    @property
    def images(self) -> tuple[OpenImage, ...]:
        """All open images, in the order in which they were added."""
        return tuple(self._images.values())

    def image(self, key: str) -> OpenImage:
        """Return an open image; raise `FlomoError` if it is not open."""
        try:
            return self._images[key]
        except KeyError:
            raise FlomoError(messages.NOT_OPEN) from None

    def add(self, volume: Volume, name: str, safe_name: str | None = None) -> str:
        """Open an image and return its key; see `OpenImage` for the names."""
        key = f"image-{next(self._numbers)}"
        safe = name if safe_name is None else safe_name
        self._images[key] = OpenImage(key, name, volume, safe, conventions=self._conventions)
        self.notify(ImageAdded(key))
        return key

    def rename(self, key: str, name: str) -> None:
        """Rename an image."""
        self.image(key).name = name
        self.notify(ImageRenamed(key, name))

    def remove(self, key: str) -> None:
        """Close an image; its runs are cancelled. Unsaved edits are offered at the next start."""
        self.labels_removed(key)
        del self._images[key]
        self._runs.cancel_all(key)
        self.notify(ImageRemoved(key))

    @property
    def running(self) -> Run | None:
        """The run in progress, until its result is merged."""
        return self._runs.running

    @property
    def runs(self) -> tuple[Run, ...]:
        """The run in progress and those that start by themselves after it, in this order."""
        return (*(() if self.running is None else (self.running,)), *self._runs.waiting)

    def segment(
        self,
        key: str,
        model: str,
        device: str = "auto",
        scope: Scope | None = None,
        *,
        mirrored: bool = False,
        consented: Mapping[SliceIndex, int] | None = None,
    ) -> Run:
        """Segment an image, or a part of it, as soon as nothing else runs.

        When the run ends, its labels, uncertainty maps, scores and review replace those of the
        scope; elsewhere, and where labels are locked, nothing changes.

        Parameters
        ----------
        key
            The image.
        model
            Name or folder.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.
        scope
            Part of the image; all by default.
        mirrored
            Whether to average over mirrored views, see `Segmenter.segment`.
        consented
            See `overwrite.kept_slices`; what that returns when the run ends is kept with labels,
            scores and state. By default nothing is kept.

        Raises
        ------
        FlomoError
            If the image or the scope does not exist, the slice axis is unknown, or the labels
            outside the scope have other meanings in this model.
        """
        image, scope = self.image(key), scope or Scope()
        run = segmentation_run(image, model, device, scope, mirrored=mirrored, consented=consented)
        return self._runs.add(run, partial(submit, self._worker, image))

    def uncertainty(
        self, key: str, device: str = "auto", maps: Sequence[str] = (), model: str | None = None
    ) -> Run:
        """Compute uncertainty maps of a segmented image, which keeps labels and review.

        Starts as soon as nothing else runs.

        Parameters
        ----------
        key, device
            As in `segment`.
        maps
            Names of the maps; by default the one that every run computes.
        model
            Folder or name of the model that segmented the image; by default as its card says.

        Raises
        ------
        FlomoError
            As `segment`.
        """
        image = self.image(key)
        run = maps_run(image, model, device, maps)
        return self._runs.add(run, partial(submit, self._worker, image))

    def learn_study(self, key: str, device: str = "auto") -> Run:
        """Suggest labels learnt from the accepted slices; see `segmenting.study_run`."""
        image = self.image(key)
        return self._runs.add(study_run(image, device), partial(submit, self._worker, image))

    def warm_up(self, model: str, device: str = "auto") -> None:
        """Let the idle worker load a model, so that the first run is as quick as later ones."""
        self._worker.preload(model, device)

    def pull(self, model: str) -> Run:
        """Download a model as soon as nothing else runs; the result of the run is its folder."""

        def start(run: Run) -> None:
            self._worker.submit(run, {"model": model}, unpack=lambda _, result: result["folder"])

        return self._runs.add(Run("pull", model=model), start)

    def edit(
        self,
        key: str,
        indices: NDArray[Any],
        old: NDArray[Any],
        new: NDArray[Any],
        kind: EditKind = "stroke",
        *,
        step: str = "",
    ) -> list[SliceIndex]:
        """Apply a change of labels, save it in a thread, and reopen accepted slices.

        Parameters
        ----------
        key
            The image.
        indices
            Flat indices in C order into the labels of the image, ascending.
        old, new
            Labels before and after, one for each index.
        kind
            How the journal records the change: ``"stroke"``, or ``"undo"`` for any other.
        step
            The step that an undo or redo leads to, one of `OpenImage.steps`; observers then get
            `StepRestored`.

        Returns
        -------
        list of SliceIndex
            The slices that were changed.
        """
        image = self.image(key)
        if image.steps.left(step) is not None:
            undoing.go_to_step(image, step, indices, old, new)
            self._store(image)
            self._notify_restored(image)
            self.notify(StepRestored(key))
            return editing.slices_of(indices, image)
        report = partial(self._on_autosave_problem, key)
        edited = editing.edit(image, indices, old, new, kind, on_problem=report)
        for index in edited:
            self.notify(LabelsChanged(key, index.frame, index.slice))
            self.reopen(key, index)
        return edited

    def set_labels(self, key: str, labels: NDArray[Any]) -> None:
        """Replace the labels of an image, as a restore or an import does.

        Raises `FlomoError` if they are not integers or not on its grid.
        """
        editing.replace_labels(self.image(key), labels)
        self.notify(LabelsChanged(key))

    def labels_saved(self, key: str) -> None:
        """Report that the labels were saved to a file: no edit is unsaved."""
        image = self.image(key)
        image.unsaved = False
        image.end_autosave(saved=True)

    def labels_removed(self, key: str) -> None:
        """Report that the viewer closed the labels; unsaved edits are offered at the next start."""
        image = self.image(key)
        image.recalled, image.steps = frozenset(), Steps()
        image.end_autosave(saved=False)

    def restore(self, key: str, restored: Restored, journal: Journal | None = None) -> None:
        """Restore an image from the result of `recovery.prepare`; continue a journal, if given."""
        image = self.image(key)
        recovery.put_restored(image, restored)
        if journal is not None:
            image.autosave = Autosave.resume(journal, partial(self._on_autosave_problem, key))
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
        self.notify(LocksChanged(key, image.locked))

    def set_conventions(self, conventions: Conventions) -> None:
        """Compute volumes and mass of all images by other conventions."""
        self._conventions = conventions
        for image in self.images:
            image.conventions = conventions
        self.notify(ConventionsChanged())

    def curves(self, key: str) -> tuple[VolumeCurve, ...]:
        """Return the volumes of the heart over the frames, fast enough for every stroke.

        Empty before the first run, for one frame, or if the model has no heart labels.
        """
        return curves_of(self.image(key))

    def measures(self, key: str) -> HeartMeasures | None:
        """Return volumes, EF and mass of the current labels, fast enough for every stroke.

        None before the first run, or if the model has no heart labels.
        """
        return heart_of(self.image(key))

    def flags(self, key: str) -> tuple[Flag, ...]:
        """Return what contradicts anatomy in the labels; see `findings.flags_of`."""
        return flags_of(self.image(key))

    def next_slice(self, key: str) -> SliceIndex | None:
        """Move to the next uncertain slice and return it; None if all are accepted."""
        return self._reviewed(key, review_of(self.image(key)).next(queue_of(self.image(key))))

    def previous_slice(self, key: str) -> SliceIndex | None:
        """Move back in the review and return the slice; None at the first."""
        return self._reviewed(key, review_of(self.image(key)).previous(queue_of(self.image(key))))

    def set_queue(self, key: str, queue: QueueFilter) -> None:
        """Choose which slices of an image are reviewed, and in which order."""
        self.image(key).queue = queue
        self.notify(ReviewChanged(key))

    def go_to(self, key: str, index: SliceIndex) -> SliceIndex | None:
        """Move to a slice of the review and return it."""
        self.image(key).activity.tick()
        return self._reviewed(key, review_of(self.image(key)).go_to(index))

    def accept(self, key: str) -> SliceIndex | None:
        """Accept the current slice, store it, and return the next; None if finished."""
        image = self.image(key)
        following = review_actions.accept(image)
        self._store(image)
        return self._reviewed(key, following)

    def reopen(self, key: str, index: SliceIndex) -> bool:
        """Mark an accepted slice as not accepted; return True if it was accepted."""
        image = self.image(key)
        if not review_actions.reopen(image, index):
            return False
        self._store(image)
        self._reviewed(key, index)
        return True

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer(event)`` on every change; return a function that ends this."""
        return self._observers.add(observer)

    def close(self) -> None:
        """Cancel the run, end the worker, write accepted slices and remove all observers."""
        self.closed = True
        self._runs.close()
        for key in self._images:
            self.labels_removed(key)
        self._observers.clear()
        self._worker.close()
        if self._writer is not None:
            self._writer.close()

    def _notify_restored(self, image: OpenImage) -> None:
        self.notify(LabelsChanged(image.key))
        self.notify(LocksChanged(image.key, image.locked))
        self.notify(ReviewChanged(image.key))

    def _on_autosave_problem(self, key: str, problem: str | None) -> None:
        self._dispatch(lambda: self.notify(AutosaveChanged(key, problem)))

    def _store(self, image: OpenImage) -> None:
        if self._writer is not None:
            self._writer.keep(image)

    def _on_kept(self, kept: CorrectionKept) -> None:
        image = self._images.get(kept.key)
        if image is not None:
            image.kept = kept
            self.notify(kept)

    def _reviewed(self, key: str, index: SliceIndex | None) -> SliceIndex | None:
        self.notify(ReviewChanged(key))
        return index
