"""Which Hub is asked, whether it may be asked at all, and how long it may take to answer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypedDict

_TRUE = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True)
class Patience:
    """How long to put up with a bad connection.

    Parameters
    ----------
    stall
        Seconds without a byte after which a request counts as stalled.
    attempts
        Tries in a row without progress.
    pause
        Seconds before the second try; doubled with each further one.
    """

    stall: float = 20.0
    attempts: int = 4
    pause: float = 1.0


PATIENCE = Patience()


@dataclass(frozen=True)
class Request:
    """What a request is about, for messages: repository, revision and file."""

    repo: str
    revision: str | None = None
    file: str | None = None


def endpoint() -> str:
    """Return the address of the Hub or of the mirror that HF_ENDPOINT names, without last slash."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host() -> str:
    """Return the name of the Hub's host, for messages (never a password of the address)."""
    address = endpoint().rpartition("@")[2]
    return address.partition("://")[2] or address


def network_refusal() -> str | None:
    """Return the name of the variable that forbids the network; None when it is allowed."""
    for name in ("FLOMO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").strip().upper() in _TRUE:
            return name
    return None


def endpoint_without_password() -> str:
    """Return the Hub's address for messages."""
    scheme, separator, _ = endpoint().partition("://")
    return f"{scheme if separator else 'https'}://{host()}"


class UserAgent(TypedDict):
    """What huggingface_hub tells a server about the caller."""

    library_name: str
    library_version: str


def user_agent() -> UserAgent:
    """Return what huggingface_hub tells the server about the caller."""
    from napari_flomo import __version__

    return {"library_name": "napari-flomo", "library_version": __version__}
