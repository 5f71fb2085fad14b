"""Collect reviewed slices from a store of corrections for training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flomo_training.cases import Case, PreparedVolume, label_centre, to_uint8
from flomo_training.gate.cases import HeldOut
from flomo_training.label_mapping import class_of_code, classes_by_name, map_codes
from flomo_training.leaks import FINGERPRINT
from napari_flomo.corrections import Correction, CorrectionStore, Record
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import (
    Reorientation,
    check_input,
    image_signature,
    prepare,
    prepare_labels,
    with_channels,
)
from napari_flomo.volumes import Volume

EDITED_ABOVE = 0.02
"""A structure counts as edited if a larger fraction of it changes; editing its neighbours changes a
few voxels."""

Skipped = list[str] | Callable[[str], None]
"""Receives one sentence for each correction that was left out."""


@dataclass(frozen=True, eq=False)
class CorrectedFrame:
    """One preprocessed frame of a corrected image.

    Attributes
    ----------
    record_id, frame, slices
        Reviewed slices of a correction, counted from 0.
    group
        Identifies the patient; frames of one group stay together.
    volume
        Reviewed slices and their classes, in the order of ``slices``.
    named
        For each label of the card, whether the reader's structures include it. Other structures are
        background in the correction, but may be present in the image. The background is always
        named.
    unseen
        The other slices of the frame, ``(slices, channels, rows, columns)`` uint8.
    evaluated
        For each label of the card, whether it is used for evaluation: the structures that the
        reader edited. The parent would be perfect on unedited structures; if none was edited, all
        named structures are used.
    digest
        SHA-256 of the correction.
    statistics
        Of the image, see `napari_flomo.segmentation.image_signature`.
    """

    record_id: str
    frame: int
    slices: tuple[int, ...]
    group: str
    volume: PreparedVolume
    named: tuple[bool, ...]
    unseen: NDArray[np.uint8]
    evaluated: tuple[bool, ...] = ()
    digest: str = ""
    statistics: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class CorrectionSet:
    """Corrected slices for training one model.

    Attributes
    ----------
    frames
        In the order of the store.
    trained
        Groups that the model was trained on before; they can be used for training, but not for
        evaluation.
    """

    frames: tuple[CorrectedFrame, ...]
    trained: frozenset[str] = frozenset()

    @property
    def slices(self) -> int:
        """Number of reviewed slices."""
        return sum(len(frame.slices) for frame in self.frames)

    @property
    def groups(self) -> tuple[str, ...]:
        """Hashes of the patients, sorted."""
        return tuple(sorted({frame.group for frame in self.frames}))

    @property
    def records(self) -> tuple[str, ...]:
        """Ids of the corrections, sorted."""
        return tuple(sorted({frame.record_id for frame in self.frames}))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of the images, for the card of the trained model."""
        return tuple(sorted({frame.volume.fingerprint for frame in self.frames}))

    @property
    def batch_hash(self) -> str:
        """SHA-256 of all slices and labels."""
        parts = sorted((f.record_id, f.frame, f.slices, f.digest) for f in self.frames)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def of(self, groups: Collection[str]) -> CorrectionSet:
        """Return the subset of some groups."""
        return replace(self, frames=tuple(f for f in self.frames if f.group in groups))

    def without(self, groups: Collection[str]) -> CorrectionSet:
        """Return the subset of all other groups."""
        return replace(self, frames=tuple(f for f in self.frames if f.group not in groups))

    def joined(self, other: CorrectionSet) -> CorrectionSet:
        """Return the frames of both sets, those in both once."""
        return replace(self, frames=tuple(dict.fromkeys((*self.frames, *other.frames))))

    def as_held_out(self) -> list[HeldOut]:
        """Return the slices in the form that the gate needs."""
        return [HeldOut(f.record_id, f.frame, f.slices) for f in self.frames]


def gather(store: CorrectionStore, card: ModelCard, skipped: Skipped) -> CorrectionSet:
    """Collect the accepted corrections of a store that a model can be trained with.

    Codes are matched by the names of the structures, since models use different codes. Records of
    the same image, for several patients or by several readers, form one group.

    Parameters
    ----------
    store
        Of corrections, with copies of their images.
    card
        Of the model to train.
    skipped
        Receives one sentence for each correction that was left out: damaged, without its image, of
        another kind of image, or with structures that the model does not have.

    Returns
    -------
    CorrectionSet
        Without frames if there are no usable corrections.
    """
    note = skipped.append if isinstance(skipped, list) else skipped
    frames: list[CorrectedFrame] = []
    records = [record for record in store.records(note) if record.state == "accepted"]
    groups = _groups(records)
    for record in records:
        if not record.seen:
            continue
        try:
            named = classes_by_name(record.codes, card)
            correction = store.read(record.id)
            if correction.image is None:
                raise FlomoError(f"The store has no copy of the image of correction {record.id}.")
            frames += _frames(record, correction, groups[record.id], card, named)
        except FlomoError as error:
            note(f"{error} It was left out.")
    before = set(card.trained_on or ())
    trained = {frame.group for frame in frames if frame.volume.fingerprint in before}
    return CorrectionSet(tuple(frames), frozenset(trained))


def corrected_frame(
    image: Volume,
    labels: Volume,
    slices: Sequence[int],
    card: ModelCard,
    *,
    classes: dict[int, int] | None = None,
    proposed: Volume | None = None,
    record_id: str = "",
    frame: int = 0,
    group: str = "",
    fingerprint: str = "",
    digest: str = "",
) -> CorrectedFrame:
    """Preprocess one frame for training.

    Parameters
    ----------
    image, labels
        One frame each, on one grid.
    slices
        Reviewed slices.
    card
        Of the model to train.
    classes
        Class index of each code; by default the codes of the card.
    proposed
        Labels proposed by a model, in the same codes; None if there were none.
    record_id, frame, group, fingerprint, digest
        See `CorrectedFrame`.
    """
    check_input(image, card)
    table = class_of_code(card) if classes is None else {**classes, 0: 0}
    whole = replace(card.preprocessing, crop=None)  # crops are random and follow later
    turn = Reorientation.of(image.geometry)
    turned, seen = turn.volume(image), turn.slices(slices, image.n_slices)
    prepared, plan = prepare(with_channels(turned, card), turned.in_plane_spacing, whole)
    drawn = turn.array(labels.data)[seen]
    truth = prepare_labels(map_codes(drawn, table), plan)
    pixels = to_uint8(prepared)
    case = Case(f"{record_id}-{frame:03}", group, "", Path(), Path())
    volume = PreparedVolume(case, pixels[seen], truth, label_centre(truth), fingerprint)
    others = [index for index in range(len(pixels)) if index not in set(seen)]
    named = tuple(index in set(table.values()) for index in range(len(card.labels)))
    before = None if proposed is None else turn.array(proposed.data)[seen]
    return CorrectedFrame(
        record_id=record_id,
        frame=frame,
        slices=tuple(slices),
        group=group,
        volume=volume,
        named=named,
        unseen=pixels[others],
        evaluated=edited_labels(drawn, before, table, named),
        digest=digest,
        statistics=image_signature(image, card),
    )


def _frames(
    record: Record, correction: Correction, group: str, card: ModelCard, named: dict[int, int]
) -> list[CorrectedFrame]:
    assert correction.image is not None
    slices_of: dict[int, list[int]] = {}
    for frame, index in correction.seen:
        slices_of.setdefault(frame, []).append(index)
    return [
        corrected_frame(
            correction.image.frame(frame),
            correction.corrected.frame(frame),
            slices,
            card,
            classes=named,
            proposed=None if correction.proposed is None else correction.proposed.frame(frame),
            record_id=record.id,
            frame=frame,
            group=group,
            fingerprint=record.image.sha256[:FINGERPRINT],
            digest=record.digest,
        )
        for frame, slices in sorted(slices_of.items())
    ]


def edited_labels(
    corrected: NDArray[np.integer],
    proposed: NDArray[np.integer] | None,
    table: dict[int, int],
    named: tuple[bool, ...],
) -> tuple[bool, ...]:
    """Return for each label of the card whether a reader edited it.

    ``corrected`` and ``proposed`` are codes in the reviewed slices, ``table`` has the class index
    of each code. All ``named`` labels, those of the reader's structures, are returned if none was
    edited or nothing was proposed.
    """
    if proposed is None:
        return named
    drawn = set()
    for code, index in table.items():
        after, before = corrected == code, proposed == code
        if index and (after != before).sum() > EDITED_ABOVE * (after | before).sum():
            drawn.add(index)
    return tuple(index in drawn for index in range(len(named))) if drawn else named


def _groups(records: Iterable[Record]) -> dict[str, str]:
    """Return the group of each record; records of the same image share a group."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    records = list(records)
    for record in records:
        one, other = sorted((find(record.group), find(f"image {record.image.sha256}")))
        leader[other] = one
    members: dict[str, set[str]] = {}
    for record in records:
        members.setdefault(find(record.group), set()).add(record.group)
    return {record.id: min(members[find(record.group)]) for record in records}
