"""What a person said about an image: what was proposed, what it should be, what was looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.volumes import Volume, align_labels

State = Literal["draft", "accepted", "rejected"]
Place = tuple[int, int]
"""Frame and slice, counted from 0; an image without frames has frame 0."""

LARGEST_CODE = 65535
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 64
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,39}")


@dataclass(frozen=True)
class ModelReference:
    """Which model proposed the labels.

    Parameters
    ----------
    name
        Of the model, without folder.
    card_sha256
        `ModelCard.card_hash`, which covers the weights too.
    """

    name: str
    card_sha256: str

    def __post_init__(self) -> None:
        if not _MODEL.fullmatch(self.name) or not _SHA256.fullmatch(self.card_sha256):
            raise FlomoError(
                "A correction names its model by the name in the card, without a folder, and by "
                "the hash of the card."
            )

    @classmethod
    def of(cls, card: ModelCard) -> ModelReference:
        """Refer to a model by its card."""
        return cls(card.name, card.card_hash)


@dataclass(frozen=True, eq=False)
class Correction:
    """A person's verdict on the labels of one image.

    Parameters
    ----------
    image
        The image; None when a store holds only a reference to it.
    corrected
        Labels as the person left them: integers on the grid of the image, without channels.
    structures
        What the codes stand for: ``{1: "RV", 2: "myocardium"}``. 0 is always the background.
    proposed
        Labels as the network gave them; None for labels that were drawn from nothing.
    seen
        Frames and slices that the person looked at, changed or not. To have looked and left alone
        is information; a slice that nobody looked at teaches nothing.
    state
        ``"draft"`` (work goes on), ``"accepted"``, or ``"rejected"`` (not to be learnt from).
    seconds
        Time that the person spent.
    reader
        Alias of the person: letters, digits, ``.``, ``_`` and ``-``, 32 at most.
    model
        What made ``proposed``.
    group
        Images of one group stay together when data is split: `CorrectionStore.group_id` of the
        patient. Empty: the image is its own group.
    image_hash
        `napari_flomo.corrections.identity` of the image; needed without an image, else a check.
    software
        Versions of the programs: ``{"napari": "0.9.2"}``; ours is added.

    Raises
    ------
    FlomoError
        If labels do not lie on the grid of the image, hold codes without a name, or other values
        make no sense.
    """

    image: Volume | None
    corrected: Volume
    structures: Mapping[int, str]
    proposed: Volume | None = None
    seen: Iterable[Place] = ()
    state: State = "draft"
    seconds: float = 0.0
    reader: str = "reader"
    model: ModelReference | None = None
    group: str = ""
    image_hash: str = ""
    software: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        structures = {int(code): str(name) for code, name in self.structures.items() if int(code)}
        if not structures or not all(0 < code <= LARGEST_CODE for code in structures):
            raise FlomoError(f"A correction needs names for codes from 1 to {LARGEST_CODE}.")
        for name in structures.values():
            if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
                raise FlomoError(
                    f"{name!r} is no name of a structure; choose one of 1 to {_LONGEST_NAME} "
                    "letters."
                )
        if self.state not in get_args(State):
            raise FlomoError(f"A correction is draft, accepted or rejected, not {self.state!r}.")
        if not 0 <= self.seconds < float("inf"):
            raise FlomoError("The seconds spent on a correction must be a number from 0 on.")
        check_alias(self.reader)
        for program, version in self.software.items():
            if not _ALIAS.fullmatch(program) or not _VERSION.fullmatch(version):
                raise FlomoError(f"{program} {version} is not a program and its version.")
        if self.image is not None and "classes" in self.image.axes:
            raise FlomoError("Probabilities are no image; give the image that was segmented.")
        grid = self.image if self.image is not None else self.corrected
        if self.image is None and not self.image_hash:
            raise FlomoError("A correction needs its image, or at least the hash of its image.")
        object.__setattr__(self, "structures", structures)
        object.__setattr__(self, "corrected", labels_on(self.corrected, grid, structures))
        if self.proposed is not None:
            object.__setattr__(self, "proposed", labels_on(self.proposed, grid, structures))
        object.__setattr__(self, "seen", self._places(self.seen))

    @cached_property
    def changed(self) -> tuple[Place, ...]:
        """Where the corrected labels differ from the proposed; the seen slices without these."""
        if self.proposed is None:
            return tuple(self.seen)
        different = self.corrected.data != self.proposed.data
        slices = different.any(axis=(-2, -1)).reshape(self.corrected.n_frames, -1)
        return tuple((int(frame), int(index)) for frame, index in np.argwhere(slices))

    def _places(self, places: Iterable[Place]) -> tuple[Place, ...]:
        """Return places in order, each once, or raise if one lies outside the image."""
        result = sorted({(int(frame), int(index)) for frame, index in places})
        frames, slices = self.corrected.n_frames, self.corrected.n_slices
        for frame, index in result:
            if not (0 <= frame < frames and 0 <= index < slices):
                raise FlomoError(
                    f"Slice {index} of frame {frame} cannot have been seen: the image has {frames} "
                    f"frames of {slices} slices, counted from 0."
                )
        return tuple(result)


def check_alias(alias: str) -> None:
    """Raise unless a reader's alias is one."""
    if not _ALIAS.fullmatch(alias):
        raise FlomoError(
            f"The reader's alias must be made of up to 32 letters, digits, '.', '-' and '_', not "
            f"{alias!r}."
        )


def labels_on(labels: Volume, grid: Volume, structures: Mapping[int, str]) -> Volume:
    """Return labels with the very geometry of a grid, in the smallest type that holds them.

    Labels at the same place in another storage are brought into that of the grid.
    """
    if labels.data.dtype.kind not in "iu":
        raise FlomoError("Labels must be whole numbers; convert them first.")
    labels = align_labels(labels, grid)
    codes = codes_in(labels.data)
    unknown = [code for code in codes if code and code not in structures]
    if unknown:
        named = ", ".join(str(code) for code in sorted(structures))
        raise FlomoError(
            f"The labels hold the code {unknown[0]}, but only {named} have a name; repaint it or "
            "name it."
        )
    axes = tuple(axis for axis in grid.axes if axis != "channels")
    small = np.uint8 if max(codes, default=0) <= 255 else np.uint16
    return replace(
        grid, data=labels.data.astype(small, copy=False), axes=axes, modality=None, source=""
    )


def codes_in(labels: NDArray[np.integer]) -> list[int]:
    """Return the values that occur, ascending."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > LARGEST_CODE:
        return [int(code) for code in np.unique(labels)]
    return [int(code) for code in np.flatnonzero(np.bincount(labels.ravel()))]
