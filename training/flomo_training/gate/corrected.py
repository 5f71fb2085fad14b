"""Corrections that were kept out of training, as images to be judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flomo_training.gate.cases import HeldOut, JudgedImage
from flomo_training.gate.traces import traces
from flomo_training.leaks import FINGERPRINT
from napari_flomo.corrections import Correction, CorrectionStore, Record
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.volumes import Volume

REDRAWN_BELOW = 0.99
"""Dice of proposal and correction from which on a structure counts as left alone: to redraw one
takes some voxels from its neighbours, which nobody looked at."""


@dataclass(frozen=True)
class StoreContent:
    """What the images of a store are recognised by.

    Attributes
    ----------
    traces
        Of all images that were ever corrected, whatever their state.
    learnt_groups
        Patients of whom a model has seen an image in its training.
    learnt_images
        SHA-256 of the images that a model has seen.
    """

    traces: frozenset[str]
    learnt_groups: frozenset[str]
    learnt_images: frozenset[str]


def look_into(
    store: CorrectionStore,
    trained_on: Iterable[str],
    tell: Callable[[str], None],
    cancelled: Callable[[], bool] | None = None,
) -> StoreContent:
    """Read all images of a store, to recognise them in other data.

    Parameters
    ----------
    store
        Of corrections.
    trained_on
        Fingerprints of the images that the models have seen.
    tell
        Is told one sentence for each image that cannot be read.
    cancelled
        Asked before each image.

    Raises
    ------
    Cancelled
        If ``cancelled`` said so.
    """
    seen_in_training = set(trained_on)
    found: set[str] = set()
    records = store.records(lambda sentence: tell(_without_place(sentence, store)))
    done: set[str] = set()
    for record in records:
        if cancelled is not None and cancelled():
            raise Cancelled
        found.add(record.image.sha256[:FINGERPRINT])
        if record.image.sha256 in done:
            continue
        done.add(record.image.sha256)
        try:
            image = store.read(record.id).image
        except FlomoError as error:
            said = _without_place(str(error), store)
            tell(f"{said} So it could not be looked for in the reference set.")
            continue
        if image is not None:
            found |= traces(image)
    learnt = [r for r in records if r.image.sha256[:FINGERPRINT] in seen_in_training]
    return StoreContent(
        frozenset(found),
        frozenset(record.group for record in learnt),
        frozenset(record.image.sha256 for record in learnt),
    )


def read_held_out(
    store: CorrectionStore,
    held_out: Sequence[HeldOut],
    card: ModelCard,
    content: StoreContent,
    tell: Callable[[str], object],
) -> list[JudgedImage]:
    """List held-out slices as images to be judged on.

    Parameters
    ----------
    store
        That holds the corrections.
    held_out
        Which slices.
    card
        Of the models; structures are matched by name.
    content
        From `look_into`.
    tell
        Is told one sentence for everything that is left out: what a model has seen in training,
        what nobody looked at, what is not accepted or cannot be read.
    """
    images = []
    for part in held_out:
        try:
            images.append(_judged(store, part, card, content))
        except FlomoError as error:
            tell(_without_place(str(error), store))
    return images


def _without_place(sentence: str, store: CorrectionStore) -> str:
    """Return a sentence for a report, which must not tell where somebody keeps patients' images."""
    return sentence.replace(str(store.folder), "the store")


def _judged(
    store: CorrectionStore, part: HeldOut, card: ModelCard, content: StoreContent
) -> JudgedImage:
    # That module asks this package what is held out, so it cannot be imported first.
    from flomo_training.finetuning.gathering import named_labels

    record = store.record(part.record_id)
    _check(record, part, content)
    codes = {
        code: card.labels[index].code for code, index in named_labels(record.codes, card).items()
    }

    def load() -> tuple[Volume, Volume]:
        return judged(store.read(part.record_id))

    def judged(correction: Correction) -> tuple[Volume, Volume]:
        if correction.image is None:
            raise FlomoError(
                f"The store has no copy of the image of correction {part.record_id}, so nothing "
                "can be judged on it."
            )
        labels = correction.corrected.frame(part.frame)
        lookup = np.zeros(int(labels.data.max()) + 1, np.uint8)
        for code, own in codes.items():
            if code < len(lookup):
                lookup[code] = own
        return correction.image.frame(part.frame), labels.with_data(lookup[labels.data])

    slices = sorted(set(part.slices))
    correction = store.read(part.record_id)
    judged(correction)  # what cannot be read shall be known before hours of work
    drawn = None
    if correction.proposed is not None:
        proposed = correction.proposed.frame(part.frame).data[slices]
        corrected = correction.corrected.frame(part.frame).data[slices]
        drawn = tuple(sorted(codes[code] for code in redrawn(proposed, corrected, codes)))
    return JudgedImage(
        name=f"correction {part.record_id}, frame {part.frame}",
        group=record.group,
        load=load,
        slices=tuple(slices),
        codes=tuple(sorted(codes.values())),
        drawn=drawn,
    )


def redrawn(
    proposed: NDArray[np.integer], corrected: NDArray[np.integer], codes: Iterable[int]
) -> set[int]:
    """Return the codes of the structures that a reader changed noticeably.

    Parameters
    ----------
    proposed, corrected
        Labels of the slices that were seen, of one shape.
    codes
        Of all structures.
    """
    found = set()
    for code in codes:
        before, after = proposed == code, corrected == code
        size = int(before.sum()) + int(after.sum())
        if size and 2 * int((before & after).sum()) / size < REDRAWN_BELOW:
            found.add(code)
    return found


def _check(record: Record, part: HeldOut, content: StoreContent) -> None:
    """Raise if a correction cannot tell right from wrong."""
    which = f"Correction {record.id}"
    if record.state != "accepted":
        raise FlomoError(f"{which} is {record.state}, so nothing was judged on it.")
    seen = {index for frame, index in record.places_seen if frame == part.frame}
    if not part.slices or not set(part.slices) <= seen:
        raise FlomoError(
            f"{which} has slices in frame {part.frame} that nobody looked at, so nothing was "
            "judged on it."
        )
    if record.image.sha256 in content.learnt_images:
        raise FlomoError(f"{which} was used for training, so nothing was judged on it.")
    if record.group in content.learnt_groups:
        raise FlomoError(
            f"{which} is of a patient who was used for training, so nothing was judged on it."
        )
