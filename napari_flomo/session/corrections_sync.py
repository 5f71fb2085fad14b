"""What a person says of an image at one moment, and how it joins what the store knows already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.corrections import Correction, CorrectionStore, ModelReference, Record
from napari_flomo.errors import FlomoError
from napari_flomo.session.earlier_labels import EarlierLabels, with_slices
from napari_flomo.session.review import Place, Review, SliceState
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from napari_flomo.models import ModelCard
    from napari_flomo.session.image_state import OpenImage

_PATIENT = re.compile(
    r"(?:^|[^a-z0-9])((?:patient|subject|sub|pat|case)(?:[-_][a-z0-9]+|\d[a-z0-9]*))", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class ReviewSnapshot:
    """Accepted slices of an image, with the labels as they are now.

    Attributes
    ----------
    image
        Where image, hash and what the network proposed come from; none of these is painted on.
    labels
        A copy of the corrected labels.
    proposed
        What the network found.
    card
        Of the model that found it.
    accepted
        Slices that the person accepted in this sitting, with these very labels.
    withdrawn
        Slices whose acceptance was taken back in this sitting.
    seconds
        Time that the person spent in this sitting.
    """

    image: OpenImage
    labels: Volume
    proposed: Volume
    card: ModelCard
    accepted: frozenset[Place]
    withdrawn: frozenset[Place]
    seconds: float

    @classmethod
    def of(cls, image: OpenImage) -> ReviewSnapshot:
        """Take down what is said of an image now; copies the labels, a few milliseconds.

        Raises
        ------
        FlomoError
            If the image was not segmented.
        """
        if image.segmentation is None or image.labels is None:
            raise FlomoError("This image has no labels yet; segment it first.")
        return cls(
            image,
            image.labels.with_data(image.labels.data.copy(), axes=image.labels.axes),
            image.segmentation.labels,
            image.segmentation.card,
            frozenset(image.vouched),
            frozenset(image.withdrawn),
            image.stopwatch.seconds,
        )

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
        """Return what to add to a store, None where there is nothing to say.

        Only accepted slices count as seen. What the same reader accepted on an earlier day stays
        accepted, with the labels of that day, unless it was accepted anew or taken back since:
        today's labels of those slices may be the network's, at which nobody has looked.

        Parameters
        ----------
        store
            Where it will go.
        reader
            Alias of the person.
        software
            Versions of the program around us.
        seconds
            Time to be added to that of earlier revisions; by default all of this sitting.

        Raises
        ------
        FlomoError
            If what the store knows of the image cannot be read.
        """
        image_hash = self.image.hash
        known = _known(store, image_hash, reader, self.structures)
        if known is None and not self.accepted:
            return None
        earlier: set[Place] = set()
        if known is not None and known.state == "accepted":
            earlier = {Place(*place) for place in known.places_seen}
            earlier -= self.accepted | self.withdrawn
        corrected, proposed = self.labels, self.proposed
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
    """Look in a store for slices of an image that a reader accepted; takes a moment.

    Raises
    ------
    FlomoError
        If there is a store that cannot be read.
    """
    if image.segmentation is None or not folder.is_dir():
        return None
    store = CorrectionStore.open(folder)
    structures = _structures(image.segmentation.card)
    record = _known(store, image.hash, reader, structures)
    if record is None or record.state != "accepted" or not record.seen:
        return None
    corrected = store.read(record.id, image=image.volume).corrected
    assert image.labels is not None
    labels = image.labels.with_data(
        corrected.data.reshape(image.labels.data.shape), axes=image.labels.axes
    )
    return EarlierLabels(frozenset(Place(*place) for place in record.places_seen), labels)


def accept_unchanged(image: OpenImage, earlier: EarlierLabels) -> EarlierLabels | None:
    """Accept the slices whose labels are those of an earlier day; return the others, if any."""
    if image.labels is None or image.review is None:
        return None
    differing = earlier.differing(image.labels)
    vouch(image.review, image, earlier.places - differing)
    return EarlierLabels(differing, earlier.labels) if differing else None


def vouch(review: Review, image: OpenImage, places: Iterable[Place]) -> None:
    """Call slices accepted whose labels are what was accepted before."""
    for place in places:
        if place in review.order:
            review.set_state(place, accepted=True)
            image.vouched.add(place)


def accept(review: Review, image: OpenImage) -> Place | None:
    """Accept the current slice with its labels as they are; return where to go, None if finished.

    Raises
    ------
    FlomoError
        If no slice is current.
    """
    place, following = review.current, review.accept()
    assert place is not None
    image.vouched.add(place)
    image.withdrawn.discard(place)
    image.stopwatch.tick()
    return following


def reopen(review: Review, image: OpenImage, place: Place) -> bool:
    """Take the acceptance of a slice back; tell whether there was one."""
    place = Place(*place)
    if place not in review.order or review.state(place) is not SliceState.ACCEPTED:
        return False
    review.reopen(place)
    image.vouched.discard(place)
    image.withdrawn.add(place)
    return True


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
    """Return what a reader said of an image with these structures, the last of it."""
    mine = [
        record
        for record in store.of_image(image_hash)
        if record.reader == reader and record.codes == structures
    ]
    return mine[-1] if mine else None


def _structures(card: ModelCard) -> dict[int, str]:
    return {label.code: label.name for label in card.labels if label.code}
