"""Single files of other people's repositories, such as encoders with ImageNet weights, pinned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models import cache, hub
from napari_flomo.models.hub import FilePin, HubSource, Progress
from napari_flomo.models.index import COMMIT
from napari_flomo.paths import cache_folder


@dataclass(frozen=True)
class PinnedFile:
    """A safetensors file at one commit of a repository, and what it must be.

    Parameters
    ----------
    repo, commit, file
        Where it is: ``"organisation/name"``, 40 hexadecimal digits, plain name.
    size, sha256
        What it must be.

    Raises
    ------
    FlomoError
        If the commit is no whole commit, or the file is not safetensors.
    """

    repo: str
    commit: str
    file: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if COMMIT.fullmatch(self.commit) is None:
            raise FlomoError(f"{self.file} must be pinned to a whole commit, not {self.commit!r}.")
        if not self.file.endswith(".safetensors") or Path(self.file).name != self.file:
            raise FlomoError(
                f"{self.file} is not the plain name of a safetensors file; weights are taken in no "
                "other form, because a pickle can run any program."
            )


def fetch(
    wanted: PinnedFile,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Return the path of a pinned file, fetched if it is not there; it is compared every time.

    Raises
    ------
    FlomoError
        If it cannot be fetched, or is not what it must be; a wrong file is put aside.
    """
    source = HubSource(wanted.repo, wanted.commit)
    folder = cache_folder() / "files" / wanted.repo.replace("/", "--") / wanted.commit
    pin = FilePin(wanted.size, wanted.sha256)
    if not cache.bad_files(folder, {wanted.file: pin}):
        return folder / wanted.file
    if (folder / wanted.file).is_file():
        cache.set_aside(folder / wanted.file)
    hub.download(source, folder, {wanted.file: pin}, progress, cancelled)
    return folder / wanted.file
