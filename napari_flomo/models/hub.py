"""The network side of the shelf: fetch pinned files from the Hugging Face Hub, publish a model.

The requests are made with huggingface_hub's own client (its session, proxies, tokens, addresses and
metadata). What that client leaves open is done here: the content of every file is compared with its
SHA-256 before the file gets its name, a download goes on where a killed process stopped, and a
person can cancel at any time.

``HF_ENDPOINT`` names a mirror; ``FLOMO_OFFLINE=1`` or ``HF_HUB_OFFLINE=1`` forbid the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models.address import (
    PATIENCE,
    Patience,
    Request,
    endpoint,
    host,
    network_refusal,
    user_agent,
)
from napari_flomo.models.faults import NotAHub, offline_sentence
from napari_flomo.models.publish import Published, commit, contents, demand_same
from napari_flomo.models.transfer import (
    FilePin,
    Meter,
    Progress,
    Remote,
    check_space,
    explain_disk,
    fetch,
    matches,
    set_aside,
)
from napari_flomo.models.wire import Cancel, ask_a_hub, check, persist, prepare

__all__ = [
    "FilePin",
    "HubSource",
    "Patience",
    "Progress",
    "Published",
    "download",
    "is_source",
    "matches",
    "network_refusal",
    "online_allowed",
    "parse_source",
    "set_aside",
    "upload",
]

MODEL_FILES = ("card.json", "config.json", "model.safetensors", "README.md")
"""What a model's repository holds."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hub at one revision.

    Parameters
    ----------
    repo
        ``"organisation/name"``.
    revision
        Branch, tag or commit; None is the branch ``main``.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return the text that `parse_source` takes."""
        return f"hf:{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_source(text: str) -> bool:
    """Tell whether a text means the Hub: it begins with ``hf:``."""
    return text.startswith("hf:")


def parse_source(text: str) -> HubSource:
    """Take ``"hf:organisation/name"`` or ``"hf:organisation/name@revision"`` apart.

    Raises
    ------
    FlomoError
        If the text is not such a source.
    """
    repo, at, revision = text.removeprefix("hf:").removeprefix("//").partition("@")
    if not is_source(text) or not _is_repo(repo):
        raise FlomoError(
            f"{text!r} does not name a model of the Hub; write hf:organisation/name or "
            "hf:organisation/name@revision."
        )
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise FlomoError(
            f"{revision!r} in {text!r} is no revision; give a branch, a tag or a commit after '@'."
        )
    return HubSource(repo, revision or None)


def online_allowed() -> bool:
    """Tell whether the network may be used: neither FLOMO_OFFLINE nor HF_HUB_OFFLINE is set."""
    return network_refusal() is None


def download(
    source: HubSource,
    folder: Path,
    files: Mapping[str, FilePin | None],
    progress: Progress | None = None,
    cancelled: Cancel = None,
    *,
    patience: Patience = PATIENCE,
) -> str:
    """Bring files of a repository into a folder, verified; return the commit (40 digits).

    Files that are there already with the right content are not fetched again; one that is there
    with other content is set aside as ``X.bad``. A file without a pin is compared with the hash
    that the Hub states for it. If the revision is a commit and every file is pinned and there,
    nothing is asked of the network. The files come in the given order.

    Parameters
    ----------
    source
        Where from.
    folder
        Where to; made when missing.
    files
        Names (without folders) and what their content must be.
    progress
        Called with bytes done, bytes in all, and seconds left, at most ten times a second.
    cancelled
        Asked ten times a second, also while nothing comes.
    patience
        Time limits.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    Cancelled
        If ``cancelled()`` returned True; what was fetched stays for the next attempt.
    """
    check(cancelled)
    for name in files:
        if not _FILE.fullmatch(name):
            raise FlomoError(f"{name!r} is not the plain name of a file; nothing was fetched.")
    if _is_commit(source.revision) and _all_there(folder, files, cancelled):
        return source.revision or ""
    request = Request(source.repo, source.revision)
    _demand_network(request, next(iter(files), None))

    prepare()
    found = _resolve(source, cancelled, patience)
    at = HubSource(source.repo, found)
    remotes = [_describe(at, *file, cancelled, patience) for file in files.items()]
    meter = Meter(sum(remote.size for remote in remotes), progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [r for r in remotes if not r.describes(folder / r.name, cancelled)]
        check_space(folder, missing)
    except OSError as error:
        raise explain_disk(error, folder / "files") from error
    for remote in remotes:
        if remote in missing:
            fetch(remote, folder, meter, cancelled, patience)
        meter.finish(remote.size)
    return found


def upload(
    folder: Path,
    repo: str,
    private: bool = False,
    *,
    extra: Mapping[str, bytes] | None = None,
    message: str = "Publish the model",
    cancelled: Cancel = None,
    patience: Patience = PATIENCE,
) -> Published:
    """Publish a model folder (card.json, model.safetensors, README.md, config.json, as present).

    All files become one commit, so that nobody can fetch half a model; afterwards the Hub is asked
    what it holds, and that is compared with what was sent.

    Parameters
    ----------
    folder
        The model.
    repo
        ``"organisation/name"``; made when missing.
    private
        Whether the repository is private. A public one is not used when this is asked for.
    extra
        Further files, or replacements, by name: ``{"README.md": b"..."}``.
    message
        Of the commit.
    cancelled
        Asked ten times a second. What was sent by then is on the Hub, but no commit shows it,
        unless the commit itself was on its way.
    patience
        Time limits of the small requests; sending the files has none.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    """
    check(cancelled)
    if not _is_repo(repo):
        raise FlomoError(f"{repo!r} is not the name of a repository; write organisation/name.")
    request = Request(repo)
    if (switch := network_refusal()) is not None:
        raise FlomoError(
            f"{switch} forbids to use the network, so {folder} was not published; unset {switch}."
        )
    prepare()
    files = contents(folder, MODEL_FILES, extra or {})
    published = commit(
        files,
        request,
        private=private,
        message=message,
        cancelled=cancelled,
        patience=patience,
    )
    source = HubSource(repo, published.commit)
    for name, content in files.items():
        demand_same(_describe(source, name, None, cancelled, patience), content)
    return published


def _resolve(source: HubSource, cancelled: Cancel, patience: Patience) -> str:
    """Return the commit that a revision means now."""
    if source.revision is not None and _is_commit(source.revision):
        return source.revision
    request = Request(source.repo, source.revision)

    def ask() -> str:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=endpoint(), **user_agent())
        info = api.model_info(
            source.repo, revision=source.revision or "main", timeout=patience.stall
        )
        if not _is_commit(info.sha):
            raise NotAHub
        return str(info.sha)

    return persist(lambda: ask_a_hub(ask, cancelled, patience.stall), request, cancelled, patience)


def _describe(
    source: HubSource,
    name: str,
    pin: FilePin | None,
    cancelled: Cancel,
    patience: Patience,
) -> Remote:
    """Ask the Hub about a file at a commit, and compare with what we demand of it."""
    request = Request(source.repo, source.revision, name)

    def ask() -> Remote:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(source.repo, name, revision=source.revision, endpoint=endpoint())
        found = get_hf_file_metadata(
            url, timeout=patience.stall, endpoint=endpoint(), **user_agent()
        )
        if found.commit_hash != source.revision or not found.etag or found.size is None:
            raise NotAHub
        return Remote(request, url, found.etag, found.size, pin.sha256 if pin else None)

    remote = persist(
        lambda: ask_a_hub(ask, cancelled, patience.stall), request, cancelled, patience
    )
    if pin is not None and remote.size != pin.size:
        raise FlomoError(
            f"{host()} has {remote.size} bytes instead of the {pin.size} expected for {name} of "
            f"{source.repo}; nothing was fetched: tell the maintainers, or check HF_ENDPOINT."
        )
    if not remote.is_verifiable:
        raise FlomoError(
            f"{host()} states no hash for {name} of {source.repo}, so it cannot be verified and "
            "was not fetched; use the Hub itself or a mirror that keeps its ETags."
        )
    return remote


def _demand_network(request: Request, file: str | None) -> None:
    switch = network_refusal()
    if switch is not None:
        raise FlomoError(offline_sentence(switch, Request(request.repo, request.revision, file)))


def _all_there(folder: Path, files: Mapping[str, FilePin | None], cancelled: Cancel) -> bool:
    return all(
        pin is not None and matches(folder / name, pin, cancelled) for name, pin in files.items()
    )


def _is_commit(text: object) -> bool:
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def _is_repo(text: str) -> bool:
    return (
        _REPO.fullmatch(text) is not None
        and len(text) <= 96
        and not any(wrong in text for wrong in ("--", ".."))
    )
