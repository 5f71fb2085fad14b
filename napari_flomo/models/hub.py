"""Downloads from the Hugging Face Hub.

huggingface_hub makes the requests and retries them; it handles tokens, proxies and mirrors. Added
here: every file is compared with its expected hash before it gets its final name.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError
from napari_flomo.models.checksums import Checksum, FilePin, GitBlob, set_aside
from napari_flomo.models.hub_errors import explain, explain_disk, missing_file, offline_error
from napari_flomo.models.hub_settings import endpoint, host, offline_variable
from napari_flomo.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from tqdm import tqdm

MESSAGE = "Downloading the model"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_RESERVE = 1 << 20
_STAGING = ".download-"


@dataclass(frozen=True)
class HubSource:
    """A repository on the Hub, ``"organisation/name"``, at a branch, tag or commit (or main)."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return the text for `parse_source`."""
        return f"hf:{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit hash, whose files never change."""
        return self.revision is not None and is_commit(self.revision)


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit, as the Hub describes it."""

    source: HubSource  # pinned to the commit
    files: Mapping[str, Checksum | None]  # by name; None if the Hub states no hash
    private: bool = False


def is_commit(text: object) -> bool:
    """Return True for a full commit hash: 40 hexadecimal digits."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def is_repo(text: str) -> bool:
    """Return True for a valid repository name, ``organisation/name``."""
    return (
        _REPO.fullmatch(text) is not None
        and len(text) <= 96
        and not any(wrong in text for wrong in ("--", ".."))
    )


def is_source(text: str) -> bool:
    """Return True if a text names a model on the Hub: it begins with ``hf:``."""
    return text.startswith("hf:")


def parse_source(text: str) -> HubSource:
    """Parse ``"hf:organisation/name"`` or ``"hf:organisation/name@revision"``."""
    repo, at, revision = text.removeprefix("hf:").removeprefix("//").partition("@")
    if not is_source(text) or not is_repo(repo):
        raise FlomoError(
            f"{text!r} does not name a model on the Hub; write hf:organisation/name or "
            "hf:organisation/name@revision."
        )
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise FlomoError(
            f"{revision!r} in {text!r} is not a revision; give a branch, a tag or a commit after "
            "'@'."
        )
    return HubSource(repo, revision or None)


def look_up(source: HubSource) -> Snapshot:
    """Return the present commit of a revision, and size and hash of its files."""
    if (variable := offline_variable()) is not None:
        raise offline_error(variable, source.repo)
    with hub_api(source.repo, source.revision) as api:
        from huggingface_hub import constants

        try:
            info = api.model_info(
                source.repo,
                revision=source.revision or "main",
                files_metadata=True,
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not the answer of a Hub") from error
        if not is_commit(info.sha):
            raise ValueError("no commit")
        files = {file.rfilename: _checksum(file) for file in info.siblings or ()}
    return Snapshot(HubSource(source.repo, info.sha), files, bool(info.private))


def download(
    snapshot: Snapshot,
    folder: Path,
    files: Mapping[str, FilePin | None],
    progress: ProgressCallback | None = None,
) -> None:
    """Download files of a repository into a folder and verify them.

    ``files`` are names without folders and their expected content; None for the hash of the Hub.
    Existing files with the right content are not downloaded again. Files and downloads with other
    content are renamed to ``X.bad``. A second process that downloads to the same folder waits.
    """
    from filelock import FileLock

    expected = {name: _expected(snapshot, name, pin) for name, pin in files.items()}
    if all(checksum.matches(folder / name) for name, checksum in expected.items()):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            try:
                _download_locked(snapshot.source, folder, expected, progress)
            finally:
                with suppress(OSError):  # Windows keeps a lock that another process waits for
                    (folder / ".lock").unlink()
    except OSError as error:
        raise explain_disk(error, folder / next(iter(files))) from error


@contextmanager
def hub_api(repo: str, revision: str | None = None, file: str | None = None) -> Iterator[HfApi]:
    """Yield huggingface_hub's client; its errors become a `FlomoError` of one sentence.

    Its log messages are muted, because they would repeat the error, with addresses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import logging

    from napari_flomo import __version__

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield HfApi(endpoint=endpoint(), library_name="napari-flomo", library_version=__version__)
    except FlomoError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, see explain_disk
        raise explain(error, repo, revision, file) from error
    finally:
        logging.set_verbosity(verbosity)


def _download_locked(
    source: HubSource,
    folder: Path,
    expected: Mapping[str, Checksum],
    progress: ProgressCallback | None,
) -> None:
    for leftover in folder.glob(f"{_STAGING}*"):  # of killed processes
        shutil.rmtree(leftover, ignore_errors=True)
    missing = {name: want for name, want in expected.items() if not want.matches(folder / name)}
    total = sum(checksum.size for checksum in expected.values())
    done = total - sum(checksum.size for checksum in missing.values())
    _check_space(folder, total - done)
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=folder) as staging:
        for name, checksum in missing.items():
            with hub_api(source.repo, source.revision, name) as api:
                found = api.hf_hub_download(
                    source.repo,
                    name,
                    revision=source.revision,
                    local_dir=staging,
                    tqdm_class=_progress_bar(done, total, progress),
                )
            _move_verified(Path(found), folder / name, checksum, source)
            done += checksum.size
    if progress is not None:
        progress(Progress(total, total, MESSAGE, 0.0))


def _move_verified(found: Path, target: Path, checksum: Checksum, source: HubSource) -> None:
    """Move a downloaded file to its final path if its content is right."""
    if not checksum.matches(found):
        bad = target.with_name(f"{target.name}.bad")
        found.replace(bad)
        raise FlomoError(
            f"{host()} sent wrong bytes for {target.name} of {source.repo} (its hash is not the "
            f"expected one); they were renamed to {bad.name} and are not used: try again, and tell "
            "the maintainers if it happens twice."
        )
    if target.exists():
        set_aside(target)
    found.replace(target)


def _expected(snapshot: Snapshot, name: str, pin: FilePin | None) -> Checksum:
    """Return the expected content of a file: its pin, or else the hash of the Hub."""
    repo = snapshot.source.repo
    if name not in snapshot.files:
        raise missing_file(repo, str(snapshot.source.revision), name)
    stated = snapshot.files[name]
    if pin is None and stated is None:
        raise FlomoError(
            f"{host()} states no hash for {name} of {repo}, so it cannot be verified and was not "
            "downloaded; use the Hub itself or a mirror that states hashes."
        )
    if pin is not None and stated is not None and stated.size != pin.size:
        raise FlomoError(
            f"{host()} has {stated.size} bytes instead of the {pin.size} expected for {name} of "
            f"{repo}; nothing was downloaded: tell the maintainers, or check HF_ENDPOINT."
        )
    checksum = pin or stated
    assert checksum is not None
    return checksum


def _checksum(file: Any) -> Checksum | None:
    """Return size and hash of a file that huggingface_hub describes as a ``RepoSibling``."""
    if file.lfs is not None:
        return FilePin(file.lfs.size, file.lfs.sha256)
    if file.blob_id is not None and file.size is not None:
        return GitBlob(file.size, file.blob_id)
    return None


def _check_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise FlomoError(
            f"The disk of {folder} has {free / 1e6:.1f} MB free, but {(size + _RESERVE) / 1e6:.1f} "
            "MB are needed; free some space, or set FLOMO_HOME to a folder on another disk."
        )


def _progress_bar(before: int, total: int, progress: ProgressCallback | None) -> type[tqdm[Any]]:
    """Return a progress bar for huggingface_hub that reports ``before`` plus its own bytes."""
    from tqdm import tqdm

    furthest = before

    class ReportingBar(tqdm):
        monitor_interval = 0  # no thread

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs | {"file": io.StringIO()})

        def display(self, *_: Any, **__: Any) -> None:
            pass

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal furthest
            shown = super().update(n)
            # Downloads from Xet storage have two bars: bytes received and bytes written.
            furthest = max(furthest, min(before + int(self.n), total))
            if progress is not None:
                rate = self.format_dict["rate"]
                seconds_left = (total - furthest) / rate if rate else None
                progress(Progress(furthest, total, MESSAGE, seconds_left))
            return shown

    return ReportingBar
