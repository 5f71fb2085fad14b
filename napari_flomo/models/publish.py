"""Publishing a model with huggingface_hub's client: one repository, one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models.address import (
    Patience,
    Request,
    endpoint,
    endpoint_without_password,
    host,
    user_agent,
)
from napari_flomo.models.transfer import Remote
from napari_flomo.models.wire import Cancel, ask_a_hub, persist

T = TypeVar("T")

_SLOWEST = 20_000
"""Bytes a second below which sending counts as stalled."""

_RETRIES_INSIDE = 6
"""huggingface_hub sends a request up to six times."""


@dataclass(frozen=True)
class Published:
    """Where an uploaded model is: its commit and the address of that commit."""

    commit: str
    url: str


def contents(
    folder: Path, names: Sequence[str], extra: Mapping[str, bytes]
) -> dict[str, Path | bytes]:
    """Return what is to be sent by name: the folder's files of these names, and further ones.

    Raises
    ------
    FlomoError
        If the folder holds no model.
    """
    found: dict[str, Path | bytes] = {
        name: folder / name for name in names if (folder / name).is_file()
    }
    for name in ("card.json", "model.safetensors"):
        if name not in found:
            raise FlomoError(
                f"The folder {folder} holds no model to publish: it has no {name}; give a folder "
                "with card.json and model.safetensors."
            )
    return found | dict(extra)


def commit(
    files: Mapping[str, Path | bytes],
    request: Request,
    *,
    private: bool,
    message: str,
    cancelled: Cancel,
    patience: Patience,
) -> Published:
    """Make the repository when missing, send the files, and commit them together.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    Cancelled
        If ``cancelled()`` returned True before the commit.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=endpoint(), **user_agent())
    repo = request.repo
    additions = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in files.items()
    ]
    size = sum(_size(content) for content in files.values())
    once = replace(patience, attempts=1)  # the client has tried several times by then
    small = patience.stall * _RETRIES_INSIDE

    def step(work: Callable[[], T], limit: float) -> T:
        return persist(lambda: ask_a_hub(work, cancelled, limit), request, cancelled, once)

    try:
        step(lambda: api.create_repo(repo, private=private or None, exist_ok=True), small)
        if private and not step(lambda: api.model_info(repo), small).private:
            raise FlomoError(
                f"The repository {repo} is there already and everybody can read it; nothing was "
                "sent: choose another name, or publish without --private."
            )
        step(lambda: api.preupload_lfs_files(repo, additions), small + size / _SLOWEST)
        done = step(lambda: api.create_commit(repo, additions, commit_message=message), small)
    except Cancelled:
        raise Cancelled(
            "Cancelled; nothing was published, unless the commit itself was on its way."
        ) from None
    return Published(done.oid, f"{endpoint_without_password()}/{repo}/commit/{done.oid}")


def demand_same(remote: Remote, content: Path | bytes) -> None:
    """Raise unless the Hub holds what was sent.

    Raises
    ------
    FlomoError
        If it does not.
    """
    if isinstance(content, Path):
        content = content.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if remote.size != len(content) or remote.etag not in (digest, blob):
        raise FlomoError(
            f"{host()} holds something else as {remote.name} of {remote.request.repo} than was "
            "sent; do not use this revision, and publish the model again."
        )


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
