"""What waits in a store of corrections to be learnt, counted without loading an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from napari_flomo.corrections import CorrectionStore, Record
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard


@dataclass(frozen=True)
class Waiting:
    """Accepted slices that fit a model.

    Attributes
    ----------
    slices, patients
        How many there are.
    new
        How many of them came since the last training.
    sequence
        Number of the last change of the store that was counted.
    """

    slices: int = 0
    patients: int = 0
    new: int = 0
    sequence: int = 0

    @property
    def sentence(self) -> str:
        """The same for people."""
        if not self.slices:
            return "No accepted slices wait yet: accept some in the Review panel."
        whole = f"{_count(self.slices, 'accepted slice')} of {_count(self.patients, 'patient')}"
        if self.new == self.slices:
            return f"{whole}."
        return f"{whole}, {self.new or 'none'} of them new since the last training."


@dataclass(frozen=True)
class Readiness:
    """Whether a training may begin, as the training package sees it.

    Attributes
    ----------
    ready
        Whether it may.
    sentence
        Why, or why not: ``"Not enough yet: 3 of 5 slices."``.
    skipped
        One sentence for each correction that cannot be used.
    """

    ready: bool
    sentence: str
    skipped: tuple[str, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Take the result of the worker's task ``"readiness"``."""
        return cls(bool(told["ready"]), str(told["sentence"]), tuple(told.get("skipped", ())))


def count_waiting(store: Path, card: ModelCard, since: int) -> Waiting:
    """Count the accepted slices of a store whose structures a model knows by name.

    Parameters
    ----------
    store
        Folder of the store; it need not be there.
    card
        Of the model.
    since
        `Waiting.sequence` at the start of the last training; what came later is new.

    Raises
    ------
    FlomoError
        If there is a store that cannot be read.
    """
    if not store.is_dir():
        return Waiting()
    known = {_plain(label.name) for label in card.labels}
    damaged: list[str] = []
    records = [
        record
        for record in CorrectionStore.open(store).records(damaged.append)
        if record.state == "accepted" and record.seen and _fits(record, known)
    ]
    return Waiting(
        slices=sum(len(record.seen) for record in records),
        patients=len({record.group for record in records}),
        new=sum(len(record.seen) for record in records if record.sequence > since),
        sequence=max((record.sequence for record in records), default=since),
    )


def card_of(model: str) -> ModelCard:
    """Return the card of a model on this computer.

    Raises
    ------
    FlomoError
        If it is not there.
    """
    from napari_flomo.models import info

    _state, card = info(model)
    if card is None:
        raise FlomoError(f"{model} is not on this computer; fetch it in the Models panel first.")
    return card


def _fits(record: Record, known: set[str]) -> bool:
    return all(_plain(name) in known for name in record.codes.values())


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
