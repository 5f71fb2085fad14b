"""What a session tells its observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_flomo.jobs import Problem, Progress

if TYPE_CHECKING:
    from napari_flomo.session.earlier_labels import EarlierLabels
    from napari_flomo.session.runs import Run


@dataclass(frozen=True)
class Event:
    """Something changed."""


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
    """An image is called otherwise now."""

    key: str
    name: str


@dataclass(frozen=True)
class RunStarted(Event):
    """Work began. ``run.key`` is the image; None for a download or a look at the devices."""

    run: Run


@dataclass(frozen=True)
class RunProgressed(Event):
    """Work went on."""

    run: Run
    progress: Progress


@dataclass(frozen=True)
class RunFinished(Event):
    """A run is done. After a segmentation the image has new labels, uncertainty maps and review."""

    run: Run


@dataclass(frozen=True)
class RunFailed(Event):
    """Work failed; the images are as they were."""

    run: Run
    problem: Problem


@dataclass(frozen=True)
class RunCancelled(Event):
    """Work was cancelled, or its image was closed; the images are as they were."""

    run: Run


@dataclass(frozen=True)
class LabelsChanged(Event):
    """Labels of one slice (or, with ``frame`` None, of the image) changed; measures follow."""

    key: str
    frame: int | None = None
    slice: int | None = None


@dataclass(frozen=True)
class LocksChanged(Event):
    """Other labels are finished now."""

    key: str
    locked: frozenset[int]


@dataclass(frozen=True)
class ReviewChanged(Event):
    """The review is elsewhere, or a slice has another state."""

    key: str


@dataclass(frozen=True)
class CorrectionKept(Event):
    """Accepted slices of an image were written to the store of corrections, or were not.

    ``problem`` is one sentence while they cannot be written; they are tried again.
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
    """Slices were accepted on an earlier day whose labels are others now, see `Session.recall`.

    ``problem`` is one sentence when the store of corrections cannot be read; then there is nothing.
    """

    key: str
    earlier: EarlierLabels | None
    problem: str | None = None
