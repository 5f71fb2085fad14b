"""An image that is open in a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import identity
from napari_flomo.errors import FlomoError
from napari_flomo.measures import (
    Conventions,
    HeartFlags,
    HeartPhases,
    Insertions,
    MeasuredLabels,
    VoxelCounts,
)
from napari_flomo.session.activity import ActivityTimer
from napari_flomo.session.autosave import Autosave
from napari_flomo.session.events import CorrectionKept
from napari_flomo.session.queue_filter import QueueFilter
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.session.steps import Steps
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmentation
    from napari_flomo.session.earlier_labels import EarlierLabels


@dataclass(eq=False)
class OpenImage:
    """The state of one image; only the session changes it.

    Attributes
    ----------
    key
        Unique in the session, never reused.
    name
        Name on the screen.
    volume
        The image itself.
    safe_name
        Name without patient data, for files of the session; empty if none is known.
    segmentation
        Merged results of all runs, without corrections; None before the first run.
    labels
        Corrected labels on the grid of the volume, without channels. A viewer may paint into this
        array and then calls `Session.edit`.
    spare
        An equal copy of new labels, made in a thread, for a viewer that compares its labels with
        earlier ones; `take_spare` hands it over.
    locked
        Codes of locked labels.
    review
        Review of the slices; None before the first run.
    shapes
        What `findings.flags_of` knows of the slices; None before it is asked.
    queue
        Which slices the user reviews.
    counts
        Voxels of each label in each slice; None before the first run.
    conventions
        How volumes and mass are computed; those of the session.
    measured
        What `findings.counts_of` knows of the labels; None before it is asked.
    phases
        Frames of end diastole and end systole; set after a run, then changed by the user only.
    insertions
        Insertion points of the right ventricle in the slices where the user moved them.
    confirmed
        Slices that were accepted with their current labels in this session.
    reopened
        Slices that were reopened in this session.
    undoable
        Slices that were accepted since the labels last changed, in this order.
    activity
        Time that the person spent on the image.
    kept
        Result of the last write to the store of corrections; None before the first.
    autosave
        Writes every change to disk; None while nothing is unsaved.
    unsaved
        Whether a run found labels that were not saved since.
    model
        Name or folder of the model of the last run; empty if unknown.
    earlier
        Labels of an earlier day that were found, until they are shown.
    recalled
        Slices for which labels of an earlier day were searched.
    brought_back
        Slices that show the labels of an earlier day.
    steps
        What undo and redo restore together with the labels.
    """

    key: str
    name: str
    volume: Volume
    safe_name: str = ""
    segmentation: Segmentation | None = None
    labels: Volume | None = None
    spare: NDArray[np.integer] | None = field(default=None, repr=False)
    locked: frozenset[int] = field(default_factory=frozenset)
    review: Review | None = None
    queue: QueueFilter = field(default_factory=QueueFilter)
    counts: VoxelCounts | None = None
    conventions: Conventions = field(default_factory=Conventions)
    measured: MeasuredLabels | None = None
    shapes: HeartFlags | None = None
    phases: HeartPhases = field(default_factory=HeartPhases)
    insertions: Mapping[SliceIndex, Insertions] = field(default_factory=dict)
    confirmed: set[SliceIndex] = field(default_factory=set)
    reopened: set[SliceIndex] = field(default_factory=set)
    undoable: list[SliceIndex] = field(default_factory=list)
    activity: ActivityTimer = field(default_factory=ActivityTimer)
    kept: CorrectionKept | None = None
    autosave: Autosave | None = None
    unsaved: bool = False
    model: str = ""
    earlier: EarlierLabels | None = None
    recalled: frozenset[SliceIndex] = field(default_factory=frozenset)
    brought_back: frozenset[SliceIndex] = field(default_factory=frozenset)
    steps: Steps = field(default_factory=Steps)

    def require_segmentation(self) -> Segmentation:
        """Return the segmentation; raise `FlomoError` before the first run."""
        if self.segmentation is None:
            raise FlomoError("This image has no labels yet; segment it first.")
        return self.segmentation

    def take_spare(self) -> NDArray[np.integer] | None:
        """Return `spare` and forget it; None if the labels have changed since."""
        spare, self.spare = self.spare, None
        return spare

    def end_autosave(self, *, saved: bool) -> None:
        """Remove the journal if the labels were saved, else leave it to be offered."""
        if self.autosave is not None:
            if saved:
                self.autosave.finish()
            else:
                self.autosave.close()
            self.autosave = None

    @cached_property
    def hash(self) -> str:
        """`identity` of the volume, computed at the first call, which takes a moment for a cine."""
        return identity(self.volume)
