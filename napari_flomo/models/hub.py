"""The network side of the shelf: fetch pinned files from the Hugging Face Hub, publish a model.

The requests are made with huggingface_hub's own client (its session, proxies, tokens, addresses and
metadata). What that client leaves open is done here: the content of every file is compared with its
SHA-256 before the file gets its name, a download goes on where a killed process stopped, and a
person can cancel at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int, "float | None"], None]
"""Called with bytes done, bytes in all, and seconds left (None while unknown)."""


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


@dataclass(frozen=True)
class FilePin:
    """What the content of a file must be: bytes and SHA-256 in lower-case hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """Where an uploaded model is: its commit and the address of that commit."""

    commit: str
    url: str


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
    raise NotImplementedError


def online_allowed() -> bool:
    """Tell whether the network may be used: neither FLOMO_OFFLINE nor HF_HUB_OFFLINE is set."""
    raise NotImplementedError


def download(
    source: HubSource,
    folder: Path,
    files: Mapping[str, FilePin | None],
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> str:
    """Bring files of a repository into a folder, verified; return the commit (40 digits).

    Files that are there already with the right content are not fetched again. A file without a
    pin is compared with the hash that the Hub states for it. If the revision is a commit and every
    file is pinned and there, nothing is asked of the network.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    Cancelled
        If ``cancelled()`` returned True; what was fetched stays for the next attempt.
    """
    raise NotImplementedError


def upload(
    folder: Path,
    repo: str,
    private: bool = False,
    *,
    extra: Mapping[str, bytes] | None = None,
    message: str = "Publish the model",
    cancelled: Callable[[], bool] | None = None,
) -> Published:
    """Publish a model folder (card.json, model.safetensors, README.md, config.json, as present).

    Parameters
    ----------
    folder
        The model.
    repo
        ``"organisation/name"``; made when missing.
    private
        Whether a new repository is private.
    extra
        Further files, or replacements, by name: ``{"README.md": b"..."}``.
    message
        Of the commit.
    cancelled
        Asked every tenth of a second.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    """
    raise NotImplementedError
