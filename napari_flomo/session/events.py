"""Events that a session sends to its observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_flomo.jobs import Problem, Progress

if TYPE_CHECKING:
    from napari_flomo.session.earlier_labels import EarlierLabels
    from napari_flomo.session.runs import Run
    from napari_flomo.session.unsaved import UnsavedWork


class Event:
    """A change in a session."""


@dataclass(frozen=True)
class ImageEvent(Event):
    """A change of the image with a key."""

    key: str


@dataclass(frozen=True)
class RunEvent(Event):
    """A change of a run. ``run.key`` is its image; None for a download."""

    run: Run


class ImageAdded(ImageEvent):
    """An image was opened."""


class ImageRemoved(ImageEvent):
    """An image was closed; a run on it is dropped."""


@dataclass(frozen=True)
class ImageRenamed(ImageEvent):
    """An image was renamed."""

    name: str


class RunQueued(RunEvent):
    """A run waits until those before it have ended."""


class RunStarted(RunEvent):
    """A run started."""


@dataclass(frozen=True)
class RunProgressed(RunEvent):
    """A run reported progress."""

    progress: Progress


class RunFinished(RunEvent):
    """A run is done. After a segmentation the image has new labels, uncertainty maps and review."""


@dataclass(frozen=True)
class RunFailed(RunEvent):
    """A run failed; the images are unchanged."""

    problem: Problem


class RunCancelled(RunEvent):
    """A run was cancelled, or its image was closed; the images are unchanged."""


@dataclass(frozen=True)
class LabelsChanged(ImageEvent):
    """Labels of one slice (or, with ``frame`` None, of the image) changed; measures follow."""

    frame: int | None = None
    slice: int | None = None


@dataclass(frozen=True)
class LocksChanged(ImageEvent):
    """A label was locked or unlocked."""

    locked: frozenset[int]


class PhasesChanged(ImageEvent):
    """The frames of end diastole or end systole changed; measures follow."""


class InsertionsChanged(ImageEvent):
    """Insertion points of the right ventricle were moved; the segments of the wall follow."""


class ReviewChanged(ImageEvent):
    """The current slice of the review or the state of a slice changed."""


class StepRestored(ImageEvent):
    """An undo or redo restored labels, review, scores and model of an image, see `Session.edit`."""


@dataclass(frozen=True)
class CorrectionKept(ImageEvent):
    """Accepted slices of an image were written to the store of corrections, or could not be.

    ``problem`` is one sentence while they cannot be written; the write is retried.
    """

    slices: int
    problem: str | None = None


@dataclass(frozen=True)
class AutosaveChanged(ImageEvent):
    """Strokes cannot be written to the disk (``problem`` says why), or can be again (None)."""

    problem: str | None


class ConventionsChanged(Event):
    """Volumes and mass of all images are computed in another way, see `Conventions`."""


@dataclass(frozen=True)
class UnsavedFound(Event):
    """The unsaved edits of crashes were listed, the latest first."""

    works: tuple[UnsavedWork, ...]


@dataclass(frozen=True)
class RestoreProgressed(Event):
    """Unsaved edits are being restored."""

    progress: Progress


class RestoreEnded(Event):
    """Unsaved edits were restored, or that failed or was cancelled."""


@dataclass(frozen=True)
class EarlierFound(ImageEvent):
    """Slices that were accepted on an earlier day were found, see `EarlierReviews`.

    If the store of corrections cannot be read, ``earlier`` is None and ``problem`` is one sentence.
    """

    earlier: EarlierLabels | None
    problem: str | None = None
