"""Why the slices of an image cannot be seen."""

from __future__ import annotations

from enum import StrEnum


class NotShown(StrEnum):
    """Why the slices of an image, or their labels, are not on the screen."""

    VOLUME_VIEW = "3-D view"
    OTHER_PLANE = "other plane"
    OUTSIDE = "other place"
    IMAGE_HIDDEN = "image hidden"
    IMAGE_COVERED = "image covered"
    LABELS_HIDDEN = "labels hidden"
    LABELS_REMOVED = "labels removed"
