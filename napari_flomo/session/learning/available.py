"""Corrections that are available for fine-tuning, counted without loading an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from napari_flomo.corrections import CorrectionStore, Record
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, info
from napari_flomo.session.messages import count_text


@dataclass(frozen=True)
class AvailableSlices:
    """Numbers of accepted slices whose structures a model knows, and of their patients.

    ``new`` slices were accepted since the last training; ``sequence`` is the number of the last
    change of the store that was counted.
    """

    slices: int = 0
    patients: int = 0
    new: int = 0
    sequence: int = 0

    @property
    def sentence(self) -> str:
        """The same for the user."""
        if not self.slices:
            return "There are no accepted slices yet; accept some in the Review panel."
        total = (
            f"{count_text(self.slices, 'accepted slice')} of {count_text(self.patients, 'patient')}"
        )
        if self.new == self.slices:
            return f"{total}."
        return f"{total}, {self.new or 'none'} of them new since the last training."


@dataclass(frozen=True)
class Readiness:
    """Whether a training can be started, according to the training package, and why or why not.

    ``skipped`` has one sentence for each correction that cannot be used.
    """

    ready: bool
    sentence: str
    skipped: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read the result of the worker's task ``"readiness"``."""
        skipped = tuple(content.get("skipped", ()))
        return cls(bool(content["ready"]), str(content["sentence"]), skipped)


def count_available(store: Path, card: ModelCard, since: int) -> AvailableSlices:
    """Count the accepted slices of a store, which need not exist, whose structures a model knows.

    ``since`` is `AvailableSlices.sequence` at the start of the last training; later slices are new.
    Raises `FlomoError` if the store cannot be read.
    """
    if not store.is_dir():
        return AvailableSlices()
    known = {_normalised(label.name) for label in card.labels}
    damaged: list[str] = []
    records = [
        record
        for record in CorrectionStore.open(store).records(damaged.append)
        if record.state == "accepted" and record.seen and _fits(record, known)
    ]
    return AvailableSlices(
        slices=sum(len(record.seen) for record in records),
        patients=len({record.group for record in records}),
        new=sum(len(record.seen) for record in records if record.sequence > since),
        sequence=max((record.sequence for record in records), default=since),
    )


def card_of(model: str) -> ModelCard:
    """Return the card of a model on this computer.

    Raises `FlomoError` if it is not on this computer.
    """
    _state, card = info(model)
    if card is None:
        raise FlomoError(f"{model} is not on this computer; download it in the Models panel first.")
    return card


def _fits(record: Record, known: set[str]) -> bool:
    return all(_normalised(name) in known for name in record.codes.values())


def _normalised(name: str) -> str:
    return " ".join(name.casefold().split())
