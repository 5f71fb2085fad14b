"""Why the slices of an image cannot be seen, and which reasons matter for what."""

from __future__ import annotations

from enum import StrEnum


class NotShown(StrEnum):
    """Why the slices of an image, or their labels, are not on the screen."""

    VOLUME_VIEW = "3-D view"
    OTHER_PLANE = "other plane"
    ALL_FRAMES = "all frames"
    """The frames lie along an axis of the view."""
    OUTSIDE = "other place"
    IMAGE_HIDDEN = "image hidden"
    IMAGE_COVERED = "image covered"
    LABELS_HIDDEN = "labels hidden"
    LABELS_REMOVED = "labels removed"
    MAP_HIDDEN = "uncertainty hidden"


Reasons = frozenset[NotShown]
"""Why something is not on the screen."""

FOR_REVIEW: Reasons = frozenset(NotShown) - {NotShown.MAP_HIDDEN}
"""For what is done to the slice on the screen."""
FOR_STEPS: Reasons = FOR_REVIEW - {NotShown.OUTSIDE}
"""For going to a slice."""
FOR_FRAMES: Reasons = frozenset(
    {NotShown.ALL_FRAMES, NotShown.IMAGE_HIDDEN, NotShown.IMAGE_COVERED}
)
"""For going to a frame, which also works in 3-D and in other planes."""
FOR_LABELS: Reasons = frozenset({NotShown.LABELS_REMOVED, NotShown.LABELS_HIDDEN, NotShown.OUTSIDE})
"""For painting, which also works in 3-D and in other planes."""
FOR_MAP: Reasons = frozenset({NotShown.VOLUME_VIEW, NotShown.OUTSIDE, NotShown.MAP_HIDDEN})
"""For the uncertainty, which also is to be seen in other planes and without the image."""
