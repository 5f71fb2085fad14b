"""Combine accepted slices with earlier ones in the store of corrections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Correction, CorrectionStore, ModelReference, Record
from napari_flomo.session.earlier_labels import EarlierLabels, with_slices
from napari_flomo.session.review import SliceIndex
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from napari_flomo.models import ModelCard
    from napari_flomo.session.image_state import OpenImage

_PATIENT = re.compile(
    r"(?:^|[^a-z0-9])((?:patient|subject|sub|pat|case)(?:[-_][a-z0-9]+|\d[a-z0-9]*))", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class ReviewSnapshot:
    """The labels of an image, with copies of its accepted slices.

    Accepted slices do not change until they are reopened, so the copies are shared with the
    snapshot before. The other slices are read when the snapshot is stored. ``accepted`` and
    ``reopened`` are the slices of this session, and ``seconds`` the time that the person spent in
    it. Of ``image`` only the volume and the hash are used, which do not change.
    """

    image: OpenImage
    live: Volume
    copies: Mapping[SliceIndex, NDArray[np.integer]]
    proposed: Volume
    card: ModelCard
    reopened: frozenset[SliceIndex]
    seconds: float

    @classmethod
    def of(cls, image: OpenImage, before: ReviewSnapshot | None = None) -> ReviewSnapshot:
        """Take a snapshot of an image; ``before`` is an earlier one of it.

        Raises `FlomoError` if the image was not segmented.
        """
        segmentation = image.require_segmentation()
        assert image.labels is not None
        return cls(
            image,
            image.labels,
            _copies(image.labels, image.confirmed, {} if before is None else before.copies),
            segmentation.labels,
            segmentation.card,
            frozenset(image.reopened),
            image.activity.seconds,
        )

    @property
    def accepted(self) -> frozenset[SliceIndex]:
        """The slices that were accepted in this session."""
        return frozenset(self.copies)

    def labels(self) -> Volume:
        """Return a copy of the labels; the accepted slices are as they were accepted."""
        data = self.live.data.copy()
        stacks = data.reshape(self.live.n_frames, *self.live.spatial_shape)
        for index, pixels in self.copies.items():
            stacks[index] = pixels
        return self.live.with_data(data, axes=self.live.axes)

    @property
    def structures(self) -> dict[int, str]:
        """What the codes stand for, without the background."""
        return _structures(self.card)

    def correction(
        self,
        store: CorrectionStore,
        reader: str,
        software: Mapping[str, str],
        seconds: float | None = None,
    ) -> Correction | None:
        """Return what to add to a store; None where there is nothing to add.

        Only accepted slices count as seen. Slices that the same reader accepted on an earlier day
        stay accepted, with the labels of that day, unless they were accepted or reopened since:
        today's labels of those slices may be the network's, which were not reviewed.
        ``seconds`` are added to those of earlier revisions; by default all of this session. Raises
        `FlomoError` if earlier corrections of the image cannot be read.
        """
        image_hash = self.image.hash
        known = _known(store, image_hash, reader, self.structures)
        if known is None and not self.accepted:
            return None
        earlier: set[SliceIndex] = set()
        if known is not None and known.state == "accepted":
            earlier = {SliceIndex(*index) for index in known.places_seen}
            earlier -= self.accepted | self.reopened
        corrected, proposed = self.labels(), self.proposed
        if known is not None and earlier:
            before = store.read(known.id, image=self.image.volume)
            corrected = with_slices(corrected, before.corrected, earlier)
            if before.proposed is not None:
                proposed = with_slices(proposed, before.proposed, earlier)
        seen = self.accepted | earlier
        patient = patient_of(self.image.volume.source or self.image.name)
        return Correction(
            image=self.image.volume,
            corrected=corrected,
            structures=self.structures,
            proposed=proposed,
            seen=seen,
            state="accepted" if seen else "draft",
            seconds=(known.seconds if known is not None else 0.0)
            + (self.seconds if seconds is None else seconds),
            reader=reader,
            model=ModelReference.of(self.card),
            group=store.group_id(patient) if patient else "",
            image_hash=image_hash,
            software=dict(software),
        )


def find_earlier(image: OpenImage, folder: Path, reader: str) -> EarlierLabels | None:
    """Return slices of an image that a reader accepted, from a store; takes a moment.

    Slices with the structures of the image's model are preferred to others. Raises `FlomoError` if
    there is a store that cannot be read.
    """
    if image.segmentation is None or not folder.is_dir():
        return None
    store, card = CorrectionStore.open(folder), image.segmentation.card
    structures = _structures(card)
    records = [
        record
        for record in store.of_image(image.hash)
        if record.reader == reader and record.state == "accepted" and record.seen
    ]
    if not records:
        return None
    record = ([one for one in records if one.codes == structures] or records)[-1]
    other_model = record.model is not None and record.model.card_sha256 != card.card_hash
    return EarlierLabels(
        slices=frozenset(SliceIndex(*index) for index in record.places_seen),
        labels=_labels_of(store, record, image, structures),
        day=store.written(record).date(),
        model=record.model.name if record.model is not None and other_model else "",
    )


def patient_of(name: str) -> str:
    """Return the part of an image's name that stands for the patient, empty if none does.

    Names as BIDS and the public cardiac collections have them: ``sub-017_ses-1_cine``,
    ``patient042_frame01``, ``case_7``. Images of one patient must not be split between training and
    test; a store keeps a salted hash of it only.
    """
    found = _PATIENT.search(name)
    return "" if found is None else found.group(1).casefold()


def _known(
    store: CorrectionStore, image_hash: str, reader: str, structures: Mapping[int, str]
) -> Record | None:
    """Return the latest record of a reader about an image with these structures."""
    records = [
        record
        for record in store.of_image(image_hash)
        if record.reader == reader and record.codes == structures
    ]
    return records[-1] if records else None


def _labels_of(
    store: CorrectionStore, record: Record, image: OpenImage, structures: Mapping[int, str]
) -> Volume | None:
    """Return stored labels with the codes that the structures have now; None if they are others."""
    codes = {name.casefold(): code for code, name in structures.items()}
    names = {code: name.casefold() for code, name in record.codes.items()}
    if sorted(names.values()) != sorted(codes):
        return None
    translated = np.zeros(max(names) + 1, np.int64)
    for code, name in names.items():
        translated[code] = codes[name]
    corrected = store.read(record.id, image=image.volume).corrected
    assert image.labels is not None
    data = translated[corrected.data].astype(image.labels.data.dtype)
    return image.labels.with_data(data.reshape(image.labels.data.shape), axes=image.labels.axes)


def _copies(
    labels: Volume,
    accepted: Iterable[SliceIndex],
    known: Mapping[SliceIndex, NDArray[np.integer]],
) -> dict[SliceIndex, NDArray[np.integer]]:
    """Return copies of slices; those that are known and equal are not copied again."""
    stacks = labels.data.reshape(labels.n_frames, *labels.spatial_shape)
    return {
        index: known[index]
        if index in known and np.array_equal(known[index], stacks[index])
        else stacks[index].copy()
        for index in accepted
    }


def _structures(card: ModelCard) -> dict[int, str]:
    return {label.code: label.name for label in card.labels if label.code}
