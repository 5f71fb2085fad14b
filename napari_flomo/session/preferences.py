"""Choices of the user that are remembered between sessions; never images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_flomo.corrections import check_alias
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write
from napari_flomo.measures import Conventions
from napari_flomo.paths import data_folder
from napari_flomo.schema import SchemaError, decode, encode, read_json

DEVICES = ("auto", "cpu", "cuda")
REVIEWS_KEPT = 200
SCHEMA = 1


@dataclass(frozen=True)
class _Remembered:
    """The file's content."""

    schema: int = SCHEMA
    model: str | None = None
    device: str = "auto"
    mirrored: bool = False
    contours: bool = False
    conventions: Conventions = field(default_factory=Conventions)
    reader: str = "reader"
    keep_corrections: bool = True
    name_by_folder: bool = False
    worklist: str = ""
    base: str | None = None
    replay: str = ""
    reference: str = ""
    contrasts: Mapping[str, Any] = field(default_factory=dict)
    reviews: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise SchemaError(f"'schema' must be {SCHEMA}, not {self.schema}")
        if self.device not in DEVICES:
            raise SchemaError(f"'device' must be one of {DEVICES}, not {self.device!r}")
        try:
            check_alias(self.reader)
        except FlomoError as error:
            raise SchemaError(f"'reader': {error}") from error
        for model, contrast in self.contrasts.items():
            if _as_contrast(contrast) is None:
                raise SchemaError(f"'contrasts.{model}' must be two percentiles")
        if not all(isinstance(review, Mapping) for review in self.reviews.values()):
            raise SchemaError("'reviews' must hold objects")


class Preferences:
    """Model, device, views, contrast of each model and progress of each review.

    Saved as JSON in the user's data folder; every change is written immediately and atomically.
    The file has no names of images and nothing about a patient: a model given by folder is not
    saved, and an image is identified by its hash. The only paths are those of replay and reference
    data and of the work list, which the user chose.

    Parameters
    ----------
    path
        The file; by default ``preferences.json`` in `data_folder`.

    Attributes
    ----------
    warning
        One sentence when the file was damaged (it is put aside as ``*.bad`` and defaults are used)
        or the last change could not be written; else None. Reading and writing never raise: a
        full disk must not prevent segmentation.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or data_folder() / "preferences.json"
        self.warning: str | None = None
        self._content = self._read()

    @property
    def model(self) -> str | None:
        """Name of the model that was last used; a folder is not remembered."""
        return self._content.model

    @model.setter
    def model(self, name: str | None) -> None:
        if name is None or _is_name(name):
            self._change(model=name)

    @property
    def device(self) -> str:
        """``"auto"``, ``"cpu"`` or ``"cuda"``."""
        return self._content.device

    @device.setter
    def device(self, name: str) -> None:
        kind = name.partition(":")[0]  # which GPU it was may be another one next time
        self._change(device=kind if kind in DEVICES else "auto")

    @property
    def mirrored(self) -> bool:
        """Whether the network sees mirrored views as well."""
        return self._content.mirrored

    @mirrored.setter
    def mirrored(self, mirrored: bool) -> None:
        self._change(mirrored=mirrored)

    @property
    def contours(self) -> bool:
        """Whether labels are shown as contours, so that the image below is not covered."""
        return self._content.contours

    @contours.setter
    def contours(self, contours: bool) -> None:
        self._change(contours=contours)

    @property
    def conventions(self) -> Conventions:
        """How volumes and mass are computed."""
        return self._content.conventions

    @conventions.setter
    def conventions(self, conventions: Conventions) -> None:
        self._change(conventions=conventions)

    @property
    def reader(self) -> str:
        """Alias of the person in the store of corrections; raises `FlomoError` for no alias."""
        return self._content.reader

    @reader.setter
    def reader(self, alias: str) -> None:
        check_alias(alias)
        self._change(reader=alias)

    @property
    def keep_corrections(self) -> bool:
        """Whether accepted slices are kept in the store of corrections, to be learnt from."""
        return self._content.keep_corrections

    @keep_corrections.setter
    def keep_corrections(self, keep: bool) -> None:
        self._change(keep_corrections=keep)

    @property
    def name_by_folder(self) -> bool:
        """Whether DICOM images are named after their folder, see `image_name`."""
        return self._content.name_by_folder

    @name_by_folder.setter
    def name_by_folder(self, by_folder: bool) -> None:
        self._change(name_by_folder=by_folder)

    @property
    def worklist(self) -> str:
        """Folder of the work list that was opened last; empty for none."""
        return self._content.worklist

    @worklist.setter
    def worklist(self, folder: str) -> None:
        self._change(worklist=folder)

    @property
    def base(self) -> str | None:
        """Name of the model that was last fine-tuned."""
        return self._content.base

    @base.setter
    def base(self, name: str | None) -> None:
        if name is None or _is_name(name):
            self._change(base=name)

    @property
    def replay(self) -> str:
        """Folder of replay data for fine-tuning; empty for none."""
        return self._content.replay

    @replay.setter
    def replay(self, folder: str) -> None:
        self._change(replay=folder)

    @property
    def reference(self) -> str:
        """Folder of reference data for the gate; empty for those packaged with the model."""
        return self._content.reference

    @reference.setter
    def reference(self, folder: str) -> None:
        self._change(reference=folder)

    def contrast(self, model: str) -> tuple[float, float] | None:
        """Return the contrast chosen for a model: low and high percentile of the grey values."""
        return _as_contrast(self._content.contrasts.get(model))

    def set_contrast(self, model: str, low: float, high: float) -> None:
        """Remember a contrast as percentiles, since grey values differ between images.

        Raises
        ------
        FlomoError
            If they are not 0 <= low < high <= 100.
        """
        contrast = _as_contrast([low, high])
        if contrast is None:
            raise FlomoError(
                f"{low:g} to {high:g} is not a valid contrast; give two percentiles, low first."
            )
        if _is_name(model):
            self._change(contrasts={**self._content.contrasts, model: list(contrast)})

    def review(self, image_hash: str) -> Mapping[str, Any] | None:
        """Return what `Review.to_dict` gave for an image, or None."""
        review: Mapping[str, Any] | None = self._content.reviews.get(image_hash)
        return review

    def set_review(self, image_hash: str, review: Mapping[str, Any]) -> None:
        """Remember the review of an image, by the image's hash; the 200 latest are kept."""
        others = {key: kept for key, kept in self._content.reviews.items() if key != image_hash}
        latest = [*others.items(), (image_hash, dict(review))][-REVIEWS_KEPT:]
        self._change(reviews=dict(latest))

    def _read(self) -> _Remembered:
        try:
            return decode(_Remembered, read_json(self._path))
        except FileNotFoundError:
            return _Remembered()
        except OSError as error:
            reason = reason_of(error)
            self.warning = f"Your preferences could not be read ({reason}); defaults are used."
        except SchemaError as fault:
            with suppress(OSError):
                self._path.replace(self._path.with_name(f"{self._path.name}.bad"))
            self.warning = f"Your preferences were damaged, so defaults are used: {fault}."
        return _Remembered()

    def _change(self, **changes: Any) -> None:
        changed = replace(self._content, **changes)
        if changed == self._content and self.warning is None:
            return
        self._content = changed
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path) as temporary:
                temporary.write_text(json.dumps(encode(changed), indent=1) + "\n", "utf-8")
        except FlomoError as error:
            self.warning = f"Your preferences were not saved: {error}"
        except OSError as error:
            self.warning = f"Your preferences were not saved: {reason_of(error)}."
        else:
            self.warning = None


def _is_name(model: str) -> bool:
    """Return True for a name, not a folder; only names on the Hub have a slash."""
    return model.startswith("hf:") or not set(model) & set("/\\~")


def _as_contrast(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = value
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in value):
        return None
    return (float(low), float(high)) if 0 <= low < high <= 100 else None
