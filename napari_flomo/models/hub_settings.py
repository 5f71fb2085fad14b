"""Settings of the Hub in environment variables: its address, and offline mode."""

from __future__ import annotations

import os

_TRUE = {"1", "ON", "YES", "TRUE"}


def endpoint() -> str:
    """Return the address of the Hub, or of the mirror in HF_ENDPOINT, without a trailing slash."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host() -> str:
    """Return the host name of the Hub for messages, without a password in the address."""
    address = endpoint().rpartition("@")[2]
    return address.partition("://")[2] or address


def public_endpoint() -> str:
    """Return the address of the Hub for messages, without a password in it."""
    scheme, separator, _ = endpoint().partition("://")
    return f"{scheme if separator else 'https'}://{host()}"


def offline_variable() -> str | None:
    """Return the environment variable that forbids network access, or None."""
    for name in ("FLOMO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").strip().upper() in _TRUE:
            return name
    return None
