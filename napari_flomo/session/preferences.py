"""What the program remembers of its user: choices, never images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Preferences:
    """Model, device, contrast of each model and the place in each review.

    Kept as JSON in the user's data folder. Every change is written at once, whole or not at all.
    No paths, no names of images and nothing about a patient: a model given by folder is not
    remembered, and an image is known by its hash only.

    Parameters
    ----------
    path
        The file; by default ``preferences.json`` in `data_folder`.

    Attributes
    ----------
    warning
        One sentence when the file was damaged (it is put aside as ``*.bad`` and defaults are used)
        or the last change could not be written; else None. Reading and writing never raise: a
        full disk must not keep anybody from segmenting.
    """

    def __init__(self, path: Path | None = None) -> None:
        raise NotImplementedError

    @property
    def model(self) -> str | None:
        """Name of the model that was last used."""
        raise NotImplementedError

    @model.setter
    def model(self, name: str | None) -> None: ...

    @property
    def device(self) -> str:
        """``"auto"``, ``"cpu"`` or ``"cuda"``."""
        raise NotImplementedError

    @device.setter
    def device(self, name: str) -> None: ...

    def contrast(self, model: str) -> tuple[float, float] | None:
        """Return the contrast chosen for a model: low and high percentile of the grey values."""
        raise NotImplementedError

    def set_contrast(self, model: str, low: float, high: float) -> None:
        """Remember a contrast as percentiles, since grey values differ between images."""
        raise NotImplementedError

    def review(self, image_hash: str) -> Mapping[str, Any] | None:
        """Return what `Review.to_dict` gave for an image; the 200 latest are kept."""
        raise NotImplementedError

    def set_review(self, image_hash: str, review: Mapping[str, Any]) -> None:
        """Remember the review of an image, by the image's hash."""
        raise NotImplementedError
