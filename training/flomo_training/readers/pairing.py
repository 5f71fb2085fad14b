"""Find the images that two readers corrected, and the slices that both reviewed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flomo_training.label_mapping import normalised_name
from napari_flomo.corrections import Record
from napari_flomo.errors import FlomoError


@dataclass(frozen=True)
class ReaderPair:
    """Corrections of one image by two readers.

    An image is identified by the hash of its voxels and geometry, so both have the same grid.
    """

    first: Record
    second: Record

    @property
    def patient(self) -> str:
        """The salted hash of the patient; of the image if the patient is unknown."""
        return self.first.group

    @cached_property
    def structures(self) -> dict[str, tuple[int, int]]:
        """Codes of the first and of the second reader, by name, of structures that both have."""
        others = {normalised_name(name): code for code, name in self.second.codes.items()}
        return {
            name: (code, others[normalised_name(name)])
            for code, name in self.first.codes.items()
            if normalised_name(name) in others
        }

    @cached_property
    def seen(self) -> dict[int, tuple[int, ...]]:
        """Slices that both readers reviewed, by frame."""
        common = sorted(set(self.first.places_seen) & set(self.second.places_seen))
        frames = dict.fromkeys(frame for frame, _ in common)
        return {frame: tuple(slice_ for at, slice_ in common if at == frame) for frame in frames}

    @property
    def same_proposal(self) -> bool:
        """Whether both readers corrected labels of the same model."""
        return self.first.model == self.second.model

    def changed(self, record: Record) -> int:
        """Return how many of the slices that both reviewed one of them changed."""
        changed = {(place[0], place[1]) for place in record.changed}
        return sum((frame, one) in changed for frame, these in self.seen.items() for one in these)


def choose_readers(
    records: Sequence[Record], wanted: Sequence[str] | None = None
) -> tuple[str, str]:
    """Return the aliases of the two readers to compare: those wanted, or the only two.

    Raises `FlomoError` if there are not two readers, or one of those wanted has no corrections.
    """
    known = sorted({record.reader for record in records})
    listed = ", ".join(known)
    if wanted is None:
        if len(known) > 2:
            raise FlomoError(
                f"The store has accepted corrections of {len(known)} readers ({listed}); choose "
                "two with --readers."
            )
        if len(known) < 2:
            raise FlomoError(
                "Agreement needs accepted corrections of two readers, and the store has those of "
                f"{listed or 'none'}; each reader types an alias of their own in the Learn panel."
            )
        return known[0], known[1]
    first, second = wanted
    if first == second:
        raise FlomoError(f"Choose two different readers, not {first} twice.")
    for alias in (first, second):
        if alias not in known:
            raise FlomoError(
                f"The store has no accepted corrections of {alias}; it has those of "
                f"{listed or 'none'}."
            )
    return first, second


def pair_readers(records: Sequence[Record], readers: tuple[str, str]) -> list[ReaderPair]:
    """Return the images of which both readers reviewed at least one slice.

    Of several corrections by one reader (with other structures) the latest counts. ``records`` are
    in the order of creation.
    """
    by_image: tuple[Mapping[str, Record], ...] = tuple(
        {record.image.sha256: record for record in records if record.reader == reader}
        for reader in readers
    )
    pairs = [
        ReaderPair(record, by_image[1][image])
        for image, record in by_image[0].items()
        if image in by_image[1]
    ]
    return [pair for pair in pairs if pair.seen and pair.structures]
