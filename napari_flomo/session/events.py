"""Events that a session sends to its observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_flomo.jobs import Problem, Progress

if TYPE_CHECKING:
    from napari_flomo.session.earlier_labels import EarlierLabels
    from napari_flomo.session.runs import Run


@dataclass(frozen=True)
class Event:
    """A change in a session."""


@dataclass(frozen=True)
class ImageAdded(Event):
    """An image was opened."""

    key: str


@dataclass(frozen=True)
class ImageRemoved(Event):
    """An image was closed; a run on it is dropped."""

    key: str


@dataclass(frozen=True)
class ImageRenamed(Event):
    """An image was renamed."""

    key: str
    name: str


@dataclass(frozen=True)
class RunStarted(Event):
    """A run started. ``run.key`` is the image; None for a download."""

    run: Run


@dataclass(frozen=True)
class RunProgressed(Event):
    """A run reported progress."""

    run: Run
    progress: Progress


@dataclass(frozen=True)
class RunFinished(Event):
    """A run is done. After a segmentation the image has new labels, uncertainty maps and review."""

    run: Run


@dataclass(frozen=True)
class RunFailed(Event):
    """A run failed; the images are unchanged."""

    run: Run
    problem: Problem


@dataclass(frozen=True)
class RunCancelled(Event):
    """A run was cancelled, or its image was closed; the images are unchanged."""

    run: Run


@dataclass(frozen=True)
class LabelsChanged(Event):
    """Labels of one slice (or, with ``frame`` None, of the image) changed; measures follow."""

    key: str
    frame: int | None = None
    slice: int | None = None


@dataclass(frozen=True)
class LocksChanged(Event):
    """A label was locked or unlocked."""

    key: str
    locked: frozenset[int]


@dataclass(frozen=True)
class ReviewChanged(Event):
    """The current slice of the review or the state of a slice changed."""

    key: str


@dataclass(frozen=True)
class CorrectionKept(Event):
    """Accepted slices of an image were written to the store of corrections, or could not be.

    ``problem`` is one sentence while they cannot be written; the write is retried.
    """

    key: str
    slices: int
    problem: str | None = None


@dataclass(frozen=True)
class AutosaveChanged(Event):
    """Strokes cannot be written to the disk (``problem`` says why), or can be again (None)."""

    key: str
    problem: str | None


@dataclass(frozen=True)
class EarlierFound(Event):
    """Slices that were accepted on an earlier day differ from the labels, see `Session.recall`.

    If the store of corrections cannot be read, ``earlier`` is None and ``problem`` is one sentence.
    """

    key: str
    earlier: EarlierLabels | None
    problem: str | None = None
