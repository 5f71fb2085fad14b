"""Single files of other repositories, such as encoders with ImageNet weights, pinned by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models import hub
from napari_flomo.models.checksums import FilePin
from napari_flomo.models.hub import HubSource, is_commit
from napari_flomo.paths import cache_folder
from napari_flomo.progress import ProgressCallback


@dataclass(frozen=True)
class PinnedFile:
    """A safetensors file at one commit of a repository, with its size and hash.

    Parameters
    ----------
    repo, commit, file
        ``"organisation/name"``, 40 hexadecimal digits, and a file name without folders.
    size, sha256
        Expected size in bytes and SHA-256.

    Raises
    ------
    FlomoError
        If the commit is not a full commit hash, or the file is not safetensors.
    """

    repo: str
    commit: str
    file: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if not is_commit(self.commit):
            raise FlomoError(f"{self.file} must be pinned to a full commit, not {self.commit!r}.")
        if not self.file.endswith(".safetensors") or Path(self.file).name != self.file:
            raise FlomoError(
                f"{self.file} is not the plain name of a safetensors file; no other format of "
                "weights is accepted, because opening a pickle can run any program."
            )


def download_pinned_file(wanted: PinnedFile, progress: ProgressCallback | None = None) -> Path:
    """Return the path of a pinned file; download it if needed, and verify it every time.

    Raises
    ------
    FlomoError
        If it cannot be downloaded or has the wrong hash; a wrong file is renamed to ``*.bad``.
    """
    source = HubSource(wanted.repo, wanted.commit)
    folder = cache_folder() / "files" / wanted.repo.replace("/", "--") / wanted.commit
    pin = FilePin(wanted.size, wanted.sha256)
    if not pin.matches(folder / wanted.file):
        hub.download(hub.look_up(source), folder, {wanted.file: pin}, progress)
    return folder / wanted.file
