"""Every stroke on the disk before the next one: a crash costs the last stroke at most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_flomo.corrections.strokes import Stroke
from napari_flomo.volumes import Volume


def journals_folder() -> Path:
    """Return the folder of all journals: ``journals`` in the user's data folder."""
    raise NotImplementedError


class Journal:
    """The journal of one image; made by `Journal.create` or `Journal.open`.

    A folder with a copy of the image and of the network's labels (NRRD, readable without us), what
    made them (``journal.json``) and the strokes. It is locked while it is open, so that no other
    program offers it for restoring.

    Attributes
    ----------
    folder
        Where it lies; the name is random.
    problem
        One sentence while strokes cannot be written (disk full, read-only), else None. They are
        kept in memory and written with the next stroke that succeeds.
    """

    folder: Path
    problem: str | None

    @classmethod
    def create(
        cls,
        image: Volume,
        labels: Volume,
        *,
        image_hash: str | None = None,
        about: Mapping[str, Any] | None = None,
        parent: Path | None = None,
    ) -> Self:
        """Begin a journal. Takes as long as writing the image; best done in another thread.

        Parameters
        ----------
        image
            Is copied, without name.
        labels
            What is about to be corrected, on the image's grid.
        image_hash
            `identity` of the image, where it is known already.
        about
            Plain JSON types: ``{"model": ..., "card_sha256": ..., "structures": {"1": "RV"}}``.
            Never a path or anything of the patient.
        parent
            Folder to make it in; `journals_folder` by default.

        Raises
        ------
        FlomoError
            If it cannot be written; nothing is left of it.
        """
        raise NotImplementedError

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Go on with a journal that a crash left; a torn end is cut off and kept as ``*.cut``.

        Raises
        ------
        FlomoError
            If another program has it open, or it cannot be read.
        """
        raise NotImplementedError

    def record(self, stroke: Stroke) -> str | None:
        """Write a stroke; when this returns it is on the disk, or the reason why not is returned.

        Never raises for the sake of the disk: painting goes on. A long journal is compacted first.

        Returns
        -------
        str or None
            `problem`.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Close and remove the journal, because its labels are safe elsewhere now.

        Raises
        ------
        FlomoError
            If it cannot be removed.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close it as it is; it will be offered for restoring."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
