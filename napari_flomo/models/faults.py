"""What can go wrong between here and a Hub, each in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_flomo.models.address import Patience, Request, endpoint_without_password, host


class Stalled(Exception):
    """Nothing came for too long."""


class Cut(Exception):
    """The connection ended before the content did."""


class NotAHub(Exception):
    """The answer does not look like one of a Hub."""


@dataclass(frozen=True)
class Fault:
    """A failed request in one sentence; whether it may pass, and after how many seconds."""

    sentence: str
    may_pass: bool = False
    pause: float | None = None


def explain(error: BaseException, request: Request, patience: Patience) -> Fault:  # noqa: PLR0911
    """Turn what a request raised into a sentence.

    Raises
    ------
    BaseException
        ``error`` itself if it is none of the network's: then it is a fault of ours.
    """
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    of_file = f" while fetching {request.file}" if request.file else ""
    if isinstance(error, HfHubHTTPError):
        return _explain_status(error, request)
    if isinstance(error, OfflineModeIsEnabled):
        return Fault(offline_sentence("HF_HUB_OFFLINE", request))
    if isinstance(error, Stalled) or _is_a(error, "ReadTimeout", "WriteTimeout", "PoolTimeout"):
        return Fault(
            f"{host()} sent nothing for {patience.stall:g} seconds{of_file}; what arrived is kept, "
            "so try again later to go on.",
            may_pass=True,
        )
    if isinstance(error, Cut) or _is_a(error, "RemoteProtocolError", "ReadError", "WriteError"):
        return Fault(
            f"The connection to {host()} was cut again and again{of_file}; what arrived is kept, "
            "so try again later to go on.",
            may_pass=True,
        )
    if _is_a(error, "UnsupportedProtocol", "InvalidURL", "LocalProtocolError") or (
        isinstance(error, ValueError) and "scheme for proxy" in str(error)
    ):
        return Fault(
            f"The address of the Hub ({host()}) or of the proxy is not valid; check HF_ENDPOINT, "
            "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."
        )
    if isinstance(error, NotAHub) or _is_a(error, "DecodingError", "TooManyRedirects"):
        return Fault(
            f"{host()} did not answer like a Hugging Face Hub; check HF_ENDPOINT, and whether this "
            "network wants you to log in first."
        )
    if isinstance(error, ImportError) and "socks" in str(error).lower():
        return Fault(
            "The proxy of this computer (ALL_PROXY or HTTPS_PROXY) speaks SOCKS, for which a "
            "package is missing; run: pip install socksio."
        )
    if _is_a(error, "TransportError"):
        return Fault(
            f"{host()} cannot be reached; check the network, HTTPS_PROXY and HF_ENDPOINT (models "
            "that are on this computer work without it).",
            may_pass=True,
        )
    raise error


def offline_sentence(variable: str, request: Request) -> str:
    """Say that the network is forbidden."""
    wanted = f"{request.file or 'the model'} of {request.repo}"
    return (
        f"{wanted[0].upper()}{wanted[1:]} is not on this computer and {variable} forbids to use "
        f"the network; unset {variable}, or bring the model's folder here."
    )


def _explain_status(error: Any, request: Request) -> Fault:  # noqa: PLR0911
    from huggingface_hub import errors

    status = error.response.status_code
    log_in = "log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, errors.RevisionNotFoundError):
        return Fault(
            f"The repository {request.repo} has no revision {request.revision or 'main'!r}; check "
            "the branch, tag or commit."
        )
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return Fault(
            f"The repository {request.repo} has no file {request.file} at the revision "
            f"{request.revision or 'main'}; check that it is a model of napari-flomo."
        )
    if isinstance(error, errors.GatedRepoError):
        return Fault(
            f"The model {request.repo} is given only to those who accept its terms; open "
            f"{endpoint_without_password()}/{request.repo}, accept them, and {log_in}."
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return Fault(
            f"{host()} shows no repository {request.repo}; check the name, or, if it is private, "
            f"{log_in}."
        )
    if status == 401:
        return Fault(
            f"{host()} wants to know who you are before it opens {request.repo} (401); {log_in} "
            "with a valid token."
        )
    if status == 403:
        return Fault(
            f"{host()} forbids this for {request.repo} (403); ask its owner for access, and "
            f"{log_in}."
        )
    if status == 429:
        pause = _retry_after(error.response.headers)
        when = f"in {pause:g} seconds" if pause else "later"
        return Fault(
            f"{host()} says that it was asked too often (429); try again {when}, or {log_in} for a "
            "higher limit.",
            may_pass=True,
            pause=pause,
        )
    if status >= 500 or status == 408:
        return Fault(f"{host()} has a fault of its own ({status}); try again later.", may_pass=True)
    return Fault(f"{host()} refused the request for {request.repo} ({status}); check the name.")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After") or headers.get("retry-after") or ""
    return float(text) if text.isdigit() else None


def _is_a(error: BaseException, *names: str) -> bool:
    """Compare by name: the HTTP library behind huggingface_hub changed its name in 2.0."""
    return any(kind.__name__ in names for kind in type(error).__mro__)
