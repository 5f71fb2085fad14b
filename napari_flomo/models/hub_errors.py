"""Errors of the Hub, the network and the disk, each explained in one sentence."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.models.hub_settings import host, public_endpoint

_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def offline_error(variable: str, repo: str) -> FlomoError:
    """Return the error for a download that is needed while network access is forbidden."""
    return FlomoError(
        f"The model {repo} is not on this computer and {variable} forbids network access; unset "
        f"{variable}, or copy the model's folder to this computer."
    )


def explain(
    error: Exception, repo: str, revision: str | None = None, file: str | None = None
) -> FlomoError:
    """Return a one-sentence error for an exception of huggingface_hub; raise any other one."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # the failed request
    if isinstance(error, HfHubHTTPError):
        return FlomoError(_status_sentence(error, repo, revision or "main", file))
    if isinstance(error, OfflineModeIsEnabled):
        return offline_error("HF_HUB_OFFLINE", repo)
    sentence = _network_sentence(error, file)
    if sentence is not None:
        return FlomoError(sentence)
    raise error


def explain_disk(error: OSError, path: Path) -> FlomoError:
    """Return a one-sentence error for an OSError about a file."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FlomoError(
            f"No permission to write in {path.parent}; set FLOMO_HOME to a folder of your own."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FlomoError(
            f"The disk is full, so {path.name} could not be saved; free some space and try again."
        )
    return FlomoError(f"{path} cannot be written: {reason_of(error)}.")


def _network_sentence(error: Exception, file: str | None) -> str | None:  # noqa: PLR0911
    of_file = f" while downloading {file}" if file else ""
    if isinstance(error, ImportError) and "socks" in str(error).lower():
        return (
            "The proxy in ALL_PROXY or HTTPS_PROXY is a SOCKS proxy, which needs another package; "
            "run: pip install socksio."
        )
    if _is_a(error, "UnsupportedProtocol", "InvalidURL", "LocalProtocolError") or (
        isinstance(error, ValueError) and "scheme for proxy" in str(error)
    ):
        return (
            f"The address of the Hub ({host()}) or of the proxy is not valid; check HF_ENDPOINT, "
            "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."
        )
    if _is_a(error, "ReadTimeout", "WriteTimeout", "PoolTimeout"):
        return f"{host()} stopped responding{of_file}; check the network and try again later."
    if _is_a(error, "RemoteProtocolError", "ReadError", "WriteError"):
        return (
            f"The connection to {host()} was interrupted repeatedly{of_file}; check the network "
            "and try again later."
        )
    if _is_a(error, "TransportError"):
        return (
            f"{host()} cannot be reached; check the network, HTTPS_PROXY and HF_ENDPOINT (models "
            "that are on this computer work without it)."
        )
    if isinstance(error, ValueError) or _is_a(
        error, "FileMetadataError", "DecodingError", "TooManyRedirects"
    ):
        return (
            f"{host()} did not answer like a Hugging Face Hub; check HF_ENDPOINT, and whether this "
            "network requires a login first."
        )
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return f"{host()} sent {file} with the wrong length, so it was discarded; try again later."
    if isinstance(error, OSError | RuntimeError) or _is_a(error, "XetDownloadError"):
        return (
            f"The storage of {host()} failed{of_file} ({type(error).__name__}); try again, or set "
            "HF_HUB_DISABLE_XET=1 to use plain HTTP."
        )
    return None


def _status_sentence(error: Any, repo: str, revision: str, file: str | None) -> str:  # noqa: PLR0911
    from huggingface_hub import errors

    status = error.response.status_code
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"The repository {repo} has no revision {revision!r}; check the branch, tag or commit."
        )
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return str(missing_file(repo, revision, file))
    if isinstance(error, errors.GatedRepoError):
        return (
            f"The model {repo} is available only to users who accept its terms; open "
            f"{public_endpoint()}/{repo}, accept them, and {_LOG_IN}."
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return (
            f"{host()} has no repository {repo}; check the name, or, if it is private, {_LOG_IN}."
        )
    if status == 401:
        return f"{host()} requires a valid token for {repo} (401); {_LOG_IN}."
    if status == 403:
        return f"{host()} denies access to {repo} (403); ask its owner for access, and {_LOG_IN}."
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdigit() else "later"
        return f"{host()} received too many requests (429); try again {when}, or {_LOG_IN}."
    if status >= 500 or status == 408:
        return f"{host()} has an internal error ({status}); try again later."
    return f"{host()} refused the request for {repo} ({status}); check the name."


def missing_file(repo: str, revision: str, file: str | None) -> FlomoError:
    """Return the error for a repository that lacks a file of a model."""
    return FlomoError(
        f"The repository {repo} has no file {file} at the revision {revision}; check that it is a "
        "model of napari-flomo."
    )


def _is_a(error: BaseException, *names: str) -> bool:
    """Compare class names: huggingface_hub 2.0 replaced its HTTP library, httpx, by httpx2."""
    return any(kind.__name__ in names for kind in type(error).__mro__)
