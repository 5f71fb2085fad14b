"""Continue from labels that were saved earlier: they become the labels of an open image."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import CorrectionStore, default_store
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, info
from napari_flomo.session import study_messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.messages import Choice, Message
from napari_flomo.session.review import Review, SliceIndex, SliceState
from napari_flomo.session.session import Session
from napari_flomo.session.undoing import begin_step
from napari_flomo.session.viewer import ViewerAdapter
from napari_flomo.volumes import MARKER, Volume, align_labels, read

NETWORK, FILE, STORED = "the network's labels", "those of the file", "the network's labels, as kept"
"""What edits are counted against."""


@dataclass(frozen=True, eq=False)
class SavedLabels:
    """Labels on the grid of an image, their model, and what the network proposed, if known."""

    labels: Volume
    card: ModelCard
    proposed: Volume | None = None


def continue_from(
    session: Session, viewer: ViewerAdapter, key: str, path: Path, model: str
) -> None:
    """Start to read labels of a file, and show them as the labels of an image.

    They may be in any format that can be read, and stored in any axis order: they are compared with
    the image in patient space. On an image with labels, edits are counted against what the network
    proposed; else against the network's labels in the store of corrections, or the file itself.
    Slices that were accepted with other labels are open again, after a question.

    Parameters
    ----------
    session, viewer
        Where the image is open.
    key
        The image.
    path
        The file with the labels.
    model
        Name or folder of the model whose codes they have, if neither the image nor the results
        beside the file say so.
    """

    def work() -> None:
        try:
            image = session.image(key)
            labels = align_labels(read(path), image.volume)
            card = image.segmentation.card if image.segmentation else card_of(path, model)
            check_codes(labels, card)
            proposed = None if image.segmentation else proposed_before(image, card)
        except FlomoError as error:
            text = str(error)
            viewer.dispatch(lambda: viewer.notify(Message(text, "warning", key=key)))
        else:
            earlier = SavedLabels(labels, card, proposed)
            viewer.dispatch(lambda: _put(session, viewer, key, earlier))

    threading.Thread(target=work, name="flomo labels", daemon=True).start()


def card_of(path: Path, model: str) -> ModelCard:
    """Return the card of the model that made labels: that of the cohort, or of ``model``.

    Raises `FlomoError` if the model is not on this computer.
    """
    for folder in path.resolve().parents:
        with suppress(OSError, ValueError, LookupError, TypeError, FlomoError):
            made_by = json.loads((folder / MARKER).read_text("utf-8"))["model"]
            return info(str(made_by["name"]))[1]
    return info(model)[1]


def check_codes(labels: Volume, card: ModelCard) -> None:
    """Raise `FlomoError` if labels have codes that a card does not know."""
    known = {label.code for label in card.labels}
    unknown = sorted({int(code) for code in np.unique(labels.data)} - known)
    if unknown:
        raise FlomoError(study_messages.unknown_codes_text(unknown, card.name))


def proposed_before(image: OpenImage, card: ModelCard) -> Volume | None:
    """Return what the network proposed, from the store of corrections; None if unknown."""
    with suppress(FlomoError):
        folder = default_store()
        if folder.is_dir():
            store = CorrectionStore.open(folder)
            structures = {label.code: label.name for label in card.labels if label.code}
            for record in reversed(store.of_image(image.hash)):
                if record.proposed is not None and record.codes == structures:
                    return store.read(record.id, image=image.volume).proposed
    return None


def begin_review(
    session: Session, key: str, earlier: SavedLabels, note: dict[str, Any] | None = None
) -> None:
    """Give an image without labels those of a file, and a review.

    ``note`` is that of `note_of`, if the file was saved with one. Otherwise every slice of the
    frames with labels is to be reviewed. Raises `FlomoError` if something does not fit.
    """
    image = session.image(key)
    codes, card = _as_codes(earlier.labels), earlier.card
    proposed = codes if earlier.proposed is None else _as_codes(earlier.proposed)
    if note is None:
        scores = _scores(codes)
        review = Review(scores)
        shown = [[None if np.isnan(one) else float(one) for one in line] for line in scores]
        note = {
            "model": card.name,
            "card": card.to_dict(),
            "slice_scores": shown,
            "review": review.to_dict(),
        }
    session.restore_saved(image.key, note, proposed, codes, {})


def _put(session: Session, viewer: ViewerAdapter, key: str, earlier: SavedLabels) -> None:
    """Show labels of a file; called in the thread of the viewer."""

    def notify(text: str, level: str = "info") -> None:
        viewer.notify(Message(text, level, key=key))

    try:
        viewer.read_labels(key)
        image = session.image(key)
        if image.segmentation is None:
            begin_review(session, key, earlier)
            viewer.show_labels(key)
            viewer.select_labels(key)
            basis = FILE if earlier.proposed is None else STORED
            notify(study_messages.continued_text(basis, viewer.undo_hint, replaced=False))
            return
        check_codes(earlier.labels, image.segmentation.card)
    except FlomoError as error:
        notify(str(error), "warning")
        return
    review, labels = image.review, earlier.labels
    assert review is not None
    assert image.labels is not None
    changed = _differing(labels, image.labels)
    accepted = [
        index
        for index in changed
        if index in review.order and review.state(index) is SliceState.ACCEPTED
    ]

    def put() -> None:
        _replace(session, image, labels, changed)
        viewer.show_labels(key)
        viewer.select_labels(key)
        notify(study_messages.continued_text(NETWORK, viewer.undo_hint, replaced=True))

    if accepted:
        text = study_messages.replace_accepted_text(len(accepted), viewer.undo_hint)
        choice = Choice("Replace", put, "Put the labels of the file in their place")
        viewer.ask(Message(text, "warning", choices=(choice,), key=key))
    else:
        put()


def _replace(session: Session, image: OpenImage, labels: Volume, changed: list[SliceIndex]) -> None:
    """Replace the labels of a segmented image; changed slices are open again."""
    assert image.segmentation is not None
    assert image.review is not None
    assert image.labels is not None
    begin_step(image)
    session.set_labels(image.key, labels.data.astype(image.labels.data.dtype))
    for index in changed:
        session.reopen(image.key, index)


def _as_codes(labels: Volume) -> Volume:
    return replace(labels, data=labels.data.astype(np.uint8), notes=())


def _scores(labels: Volume) -> NDArray[np.float32]:
    """Return 0 for each slice of the frames that have labels, NaN for others."""
    frames = labels.data.reshape(labels.n_frames, -1).any(axis=1)
    scores = np.zeros((labels.n_frames, labels.n_slices), np.float32)
    if frames.any():
        scores[~frames] = np.nan
    return scores


def _differing(one: Volume, other: Volume) -> list[SliceIndex]:
    shape = (one.n_frames, *one.spatial_shape)
    differs = (one.data.reshape(shape) != other.data.reshape(shape)).any(axis=(-2, -1))
    return [SliceIndex(int(frame), int(number)) for frame, number in np.argwhere(differs)]
