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
    Insertions,
    Phase,
    Side,
    VoxelCounts,
    choose_phases,
    measured_frames,
    wall_thickness,
)
from napari_flomo.session import cine_messages, measure_messages, messages
from napari_flomo.session.events import Event, InsertionsChanged, PhasesChanged
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.insertions import insertions_by_frame, noted_insertions, phases_note
from napari_flomo.session.review import SliceIndex

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
            image.autosave.record_phases(phases_note(image))
        self._notify(PhasesChanged(key))

    def set_insertions(self, key: str, insertions: Mapping[SliceIndex, Insertions]) -> None:
        """Replace the insertion points that the user moved; others are found from the labels."""
        image = self._image_of(key)
        image.insertions = dict(insertions)
        if image.autosave is not None:
            image.autosave.record_phases(phases_note(image))
        self._notify(InsertionsChanged(key))


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


def wall_insertions(image: OpenImage) -> dict[SliceIndex, Insertions]:
    """Return the insertion points by which the wall of an image is measured.

    Those of end diastole and end systole, or of the only frame; moved ones where there are any.
    Raises `FlomoError` if no wall can be measured.
    """
    codes = HeartCodes.of(image.require_segmentation().card.labels)
    if codes is None or image.labels is None:
        raise FlomoError(measure_messages.NO_INSERTIONS)
    moved, found = insertions_by_frame(image), {}
    for _, frame in measured_frames(image.phases, segmented_frames(image)[0]).values():
        wall = wall_thickness(image.labels, codes, frame, insertions=moved.get(frame))
        for number, pair in () if wall is None else wall.insertions.items():
            found[SliceIndex(frame, number)] = pair
    return dict(sorted(found.items()))


def review_note(image: OpenImage) -> dict[str, Any]:
    """Return review and `phases_note` of an image, to be remembered by `Preferences.set_review`.

    Raises `FlomoError` if the image was not segmented.
    """
    if image.review is None:
        raise FlomoError(messages.NOTHING_TO_REVIEW)
    return {**image.review.to_dict(), "phases": phases_note(image)}


def recall_review(image: OpenImage, note: Mapping[str, Any]) -> None:
    """Restore the review of an image, the frames that were pinned and the points that were moved.

    Raises `FlomoError`, and changes nothing, if the note is of another image.
    """
    if image.review is not None:
        image.review.restore(note)
        earlier = HeartPhases.from_dict(note.get("phases"), image.volume.n_frames)
        if earlier is not None:
            image.phases = image.phases.keep(earlier)
        image.insertions = noted_insertions(note.get("phases"), image.volume)


def _frames(which: ArrayLike) -> list[int]:
    return [int(frame) for frame in np.flatnonzero(which)]
