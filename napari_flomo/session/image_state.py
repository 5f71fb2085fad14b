"""An image that is open in a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from napari_flomo.corrections import identity
from napari_flomo.measures import VoxelCounts
from napari_flomo.session.activity import ActivityTimer
from napari_flomo.session.autosave import Autosave
from napari_flomo.session.events import CorrectionKept
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmentation
    from napari_flomo.session.earlier_labels import EarlierLabels


@dataclass(eq=False)
class OpenImage:
    """What a session knows of one image. Changed by the session; others read.

    Attributes
    ----------
    key
        Never used again for another image.
    name
        What the user calls it.
    volume
        The image itself.
    segmentation
        What the network said, all runs merged, without any correction; None before the first run.
    labels
        What the user sees and paints on: corrected labels on the grid of the volume, without
        channels. A viewer may paint into this very array, and then reports it to `Session.edit`.
    locked
        Codes of finished labels.
    review
        The walk through the slices; None before the first run.
    counts
        Voxels of each label in each slice; None before the first run.
    confirmed
        Slices that were accepted with the labels as they are now. A slice that is accepted because
        it was on an earlier day is not among them.
    reopened
        Slices whose acceptance was taken back.
    activity
        How long the person worked on it.
    kept
        What became of the accepted slices at last; None before the first of them.
    autosave
        Records every change on disk; None while nothing is unsaved.
    model
        What the last run was asked to segment with, a name or a folder; empty if unknown.
    earlier
        Labels of an earlier day, while they are offered.
    recalled
        Whether labels of an earlier day were looked for.
    """

    key: str
    name: str
    volume: Volume
    segmentation: Segmentation | None = None
    labels: Volume | None = None
    locked: frozenset[int] = field(default_factory=frozenset)
    review: Review | None = None
    counts: VoxelCounts | None = None
    confirmed: set[SliceIndex] = field(default_factory=set)
    reopened: set[SliceIndex] = field(default_factory=set)
    activity: ActivityTimer = field(default_factory=ActivityTimer)
    kept: CorrectionKept | None = None
    autosave: Autosave | None = None
    model: str = ""
    earlier: EarlierLabels | None = None
    recalled: bool = False

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
