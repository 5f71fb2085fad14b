"""Evaluation images from corrections that were held out of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flomo_training.gate.cases import EvaluationImage, HeldOut
from flomo_training.gate.signatures import signatures
from flomo_training.label_mapping import classes_by_name, map_codes
from flomo_training.leaks import FINGERPRINT
from napari_flomo.corrections import Correction, CorrectionStore, Record
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.volumes import Volume

EDITED_BELOW = 0.99
"""A structure counts as edited if the Dice of proposal and correction is lower. Editing one
structure also removes a few voxels from its neighbours."""


@dataclass(frozen=True)
class StoreIndex:
    """Signatures of all images of a store, with corrections in any state, and their records."""

    signatures: frozenset[str] = frozenset()
    records: tuple[Record, ...] = ()

    def seen_by(self, trained_on: Iterable[str]) -> Trained:
        """Return what a model was trained on, given the fingerprints of its training images."""
        fingerprints = set(trained_on)
        own = [r for r in self.records if r.image.sha256[:FINGERPRINT] in fingerprints]
        groups = frozenset(record.group for record in own)
        return Trained(groups, frozenset(record.image.sha256 for record in own))


@dataclass(frozen=True)
class Trained:
    """Patients and images (SHA-256) of a store that a model was trained on."""

    groups: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()


NOT_TRAINED = Trained()


def index_store(
    store: CorrectionStore,
    note: Callable[[str], None],
    cancelled: Callable[[], bool] | None = None,
) -> StoreIndex:
    """Read all images of a store, to identify them in other data.

    ``note`` is called with one sentence for each image that cannot be read. Raises `Cancelled` if
    ``cancelled``, which is checked before each image, returned True.
    """
    found: set[str] = set()
    read: set[str] = set()
    records = store.records(lambda sentence: note(_without_path(sentence, store)))
    for record in records:
        if cancelled is not None and cancelled():
            raise Cancelled
        found.add(record.image.sha256[:FINGERPRINT])
        if record.image.sha256 in read:
            continue
        read.add(record.image.sha256)
        try:
            if (image := store.read(record.id).image) is not None:
                found |= signatures(image)
        except FlomoError as error:
            sentence = _without_path(str(error), store)
            note(f"{sentence} It could not be compared with the reference set.")
    return StoreIndex(frozenset(found), tuple(records))


def read_held_out(
    store: CorrectionStore,
    held_out: Sequence[HeldOut],
    card: ModelCard,
    trained: Trained,
    note: Callable[[str], object],
) -> list[EvaluationImage]:
    """Return held-out slices as evaluation images; structures are matched by name.

    ``note`` is called with one sentence for everything that is left out: used for training, not
    reviewed, not accepted, or unreadable. ``trained`` are patients that a model was trained on.
    """
    images = []
    for part in held_out:
        try:
            images.append(_evaluation_image(store, part, card, trained))
        except FlomoError as error:
            note(_without_path(str(error), store))
    return images


def _without_path(sentence: str, store: CorrectionStore) -> str:
    """Return a sentence without the path of the store; reports must not contain private paths."""
    return sentence.replace(str(store.folder), "the store")


def _evaluation_image(
    store: CorrectionStore, part: HeldOut, card: ModelCard, trained: Trained
) -> EvaluationImage:
    record = store.record(part.record_id)
    _check(record, part, trained)
    codes = {
        code: card.labels[index].code for code, index in classes_by_name(record.codes, card).items()
    }

    def frame_of(correction: Correction) -> tuple[Volume, Volume]:
        if correction.image is None:
            raise FlomoError(
                f"The store has no copy of the image of correction {part.record_id}, so it cannot "
                "be used for evaluation."
            )
        labels = correction.corrected.frame(part.frame)
        return correction.image.frame(part.frame), labels.with_data(map_codes(labels.data, codes))

    slices = sorted(set(part.slices))
    correction = store.read(part.record_id)
    frame_of(correction)  # report unreadable images before the long comparison
    drawn = None
    if correction.proposed is not None:
        proposed = correction.proposed.frame(part.frame).data[slices]
        corrected = correction.corrected.frame(part.frame).data[slices]
        drawn = tuple(sorted(codes[code] for code in edited_structures(proposed, corrected, codes)))
    return EvaluationImage(
        name=f"correction {part.record_id}, frame {part.frame}",
        group=record.group,
        load=lambda: frame_of(store.read(part.record_id)),
        slices=tuple(slices),
        codes=tuple(sorted(codes.values())),
        drawn=drawn,
    )


def edited_structures(
    proposed: NDArray[np.integer], corrected: NDArray[np.integer], codes: Iterable[int]
) -> set[int]:
    """Return the codes of the structures that a reader edited noticeably in the reviewed slices."""
    found = set()
    for code in codes:
        before, after = proposed == code, corrected == code
        size = int(before.sum()) + int(after.sum())
        if size and 2 * int((before & after).sum()) / size < EDITED_BELOW:
            found.add(code)
    return found


def _check(record: Record, part: HeldOut, trained: Trained) -> None:
    """Raise if a correction cannot be used for evaluation."""
    which = f"Correction {record.id}"
    if record.state != "accepted":
        raise FlomoError(f"{which} is {record.state} and was not used for evaluation.")
    seen = {index for frame, index in record.places_seen if frame == part.frame}
    if not part.slices or not set(part.slices) <= seen:
        raise FlomoError(
            f"{which} has unreviewed slices in frame {part.frame} and was not used for evaluation."
        )
    if record.image.sha256 in trained.images:
        raise FlomoError(f"{which} was used for training and therefore not for evaluation.")
    if record.group in trained.groups:
        raise FlomoError(
            f"{which} is of a patient used for training and was not used for evaluation."
        )
