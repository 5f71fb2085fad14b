"""A person's correction of an image: proposed and corrected labels, and the checked slices."""

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
"""State of a correction; only accepted ones are used for training."""
FrameSlice = tuple[int, int]
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
    """A person's correction of the labels of one image.

    Parameters
    ----------
    image
        The image; None when a store holds only a reference to it.
    corrected
        Labels of the person: integers on the grid of the image, without channels.
    structures
        Names by code: ``{1: "RV", 2: "myocardium"}``. 0 is always the background.
    proposed
        Labels of the network; None for labels that were drawn without a proposal.
    seen
        Frames and slices that the person checked, changed or not. Only these are used for training.
    state
        ``"draft"`` (in progress), ``"accepted"``, or ``"rejected"`` (not used for training).
    seconds
        Time that the person spent.
    reader
        Alias of the person: letters, digits, ``.``, ``_`` and ``-``, 32 at most.
    model
        Model of the proposed labels.
    group
        Images of one group stay together when data is split: `CorrectionStore.group_id` of the
        patient. Empty: the image is its own group.
    image_hash
        `napari_flomo.corrections.identity` of the image; required without an image.
    software
        Versions of the programs: ``{"napari": "0.9.2"}``; that of napari-flomo is added.

    Raises
    ------
    FlomoError
        If labels are not on the grid of the image or have codes without a name, or other values are
        invalid.
    """

    image: Volume | None
    corrected: Volume
    structures: Mapping[int, str]
    proposed: Volume | None = None
    seen: Iterable[FrameSlice] = ()
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
            raise FlomoError("Probabilities are not an image; give the image that was segmented.")
        grid = self.image if self.image is not None else self.corrected
        if self.image is None and not self.image_hash:
            raise FlomoError("A correction needs its image, or at least the hash of its image.")
        object.__setattr__(self, "structures", structures)
        object.__setattr__(self, "corrected", labels_on(self.corrected, grid, structures))
        if self.proposed is not None:
            object.__setattr__(self, "proposed", labels_on(self.proposed, grid, structures))
        object.__setattr__(self, "seen", self._places(self.seen))

    @cached_property
    def changed(self) -> tuple[FrameSlice, ...]:
        """Slices with differences to the proposed labels; without those, the seen slices."""
        if self.proposed is None:
            return tuple(self.seen)
        different = self.corrected.data != self.proposed.data
        slices = different.any(axis=(-2, -1)).reshape(self.corrected.n_frames, -1)
        return tuple((int(frame), int(index)) for frame, index in np.argwhere(slices))

    def _places(self, places: Iterable[FrameSlice]) -> tuple[FrameSlice, ...]:
        """Return sorted unique slices; raise if one lies outside the image."""
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
    """Raise unless an alias of a reader is valid."""
    if not _ALIAS.fullmatch(alias):
        raise FlomoError(
            f"The reader's alias must be made of up to 32 letters, digits, '.', '-' and '_', not "
            f"{alias!r}."
        )


def labels_on(labels: Volume, grid: Volume, structures: Mapping[int, str]) -> Volume:
    """Return labels aligned with a grid (see `align_labels`), in the smallest type."""
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
