"""End diastole and end systole of an open cine: chosen after a run, or pinned by the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from napari_flomo.errors import FlomoError
from napari_flomo.measures import (
    SIDES,
    HeartCodes,
    HeartPhases,
    Phase,
    Side,
    VoxelCounts,
    choose_phases,
)
from napari_flomo.session import cine_messages, messages
from napari_flomo.session.events import Event, PhasesChanged
from napari_flomo.session.image_state import OpenImage

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmentation


class Phases:
    """Sets the frames of end diastole and end systole of the images of a session.

    Parameters
    ----------
    image_of
        Returns an image by its key.
    notify
        Gets a `PhasesChanged` after every change.
    """

    def __init__(
        self, image_of: Callable[[str], OpenImage], notify: Callable[[Event], None]
    ) -> None:
        self._image_of = image_of
        self._notify = notify

    def pin(self, key: str, phase: Phase, frame: int, sides: Iterable[Side] = SIDES) -> None:
        """Set a phase of one or both ventricles to a frame; only the user changes it from then on.

        Raises
        ------
        FlomoError
            If the image is no segmented cine, or nothing of the frame was segmented.
        """
        image = self._image_of(key)
        check_cine(image)
        if frame not in segmented_frames(image)[0]:
            raise FlomoError(cine_messages.FRAME_NOT_SEGMENTED.format(frame + 1))
        self.set(key, image.phases.pin(phase, frame, sides))

    def automatic(self, key: str) -> None:
        """Unpin all frames and choose them by the volumes of the network's labels.

        Raises `FlomoError` if the image is no segmented cine.
        """
        image = self._image_of(key)
        check_cine(image)
        self.set(key, automatic_phases(image.require_segmentation()))

    def set(self, key: str, phases: HeartPhases) -> None:
        """Set all frames, as the undo of a change does."""
        image = self._image_of(key)
        image.phases = phases
        if image.autosave is not None:
            image.autosave.record_phases(phases.to_dict())
        self._notify(PhasesChanged(key))


def has_phases(image: OpenImage) -> bool:
    """Return True for a segmented cine of a heart."""
    if image.segmentation is None or image.volume.n_frames < 2:
        return False
    return HeartCodes.of(image.segmentation.card.labels) is not None


def check_cine(image: OpenImage) -> None:
    """Raise `FlomoError` unless an image has labels of a heart and several frames."""
    card = image.require_segmentation().card
    if image.volume.n_frames < 2:
        raise FlomoError(cine_messages.ONE_FRAME)
    if HeartCodes.of(card.labels) is None:
        raise FlomoError(cine_messages.NO_VENTRICLES.format(card.name))


def automatic_phases(segmentation: Segmentation) -> HeartPhases:
    """Choose end diastole and end systole by the volumes of the network's labels."""
    codes = HeartCodes.of(segmentation.card.labels)
    if codes is None or segmentation.labels.n_frames < 2:
        return HeartPhases()
    known = (codes.left_ventricle, codes.right_ventricle)
    counts = VoxelCounts.of(segmentation.labels, [code for code in known if code is not None])
    done = np.isfinite(segmentation.slice_scores)
    return choose_phases(counts, codes, _frames(done.all(1)) or _frames(done.any(1)))


def segmented_frames(image: OpenImage) -> tuple[list[int], list[int]]:
    """Return the frames that were segmented at least in part, and those segmented completely."""
    done = np.isfinite(image.require_segmentation().slice_scores)
    return _frames(done.any(1)), _frames(done.all(1))


def review_note(image: OpenImage) -> dict[str, Any]:
    """Return review and phases of an image, to be remembered by `Preferences.set_review`.

    Raises `FlomoError` if the image was not segmented.
    """
    if image.review is None:
        raise FlomoError(messages.NOTHING_TO_REVIEW)
    return {**image.review.to_dict(), "phases": image.phases.to_dict()}


def recall_review(image: OpenImage, note: Mapping[str, Any]) -> None:
    """Restore the review of an image and the frames that were pinned.

    Raises `FlomoError`, and changes nothing, if the note is of another image.
    """
    if image.review is not None:
        image.review.restore(note)
        earlier = HeartPhases.from_dict(note.get("phases"), image.volume.n_frames)
        if earlier is not None:
            image.phases = image.phases.keep(earlier)


def _frames(which: ArrayLike) -> list[int]:
    return [int(frame) for frame in np.flatnonzero(which)]
