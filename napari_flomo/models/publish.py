"""Publish a model on the Hugging Face Hub, in one commit, with a README made from its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.models import hub, index, registry
from napari_flomo.models.checksums import fingerprint
from napari_flomo.models.hub_settings import host, offline_variable, public_endpoint
from napari_flomo.models.readme import config_text, readme_text


@dataclass(frozen=True)
class PublishedModel:
    """A model on the Hub.

    Attributes
    ----------
    url
        Address of the commit.
    entry
        Entry of the index that pins the model to that commit, as JSON types.
    """

    url: str
    entry: dict[str, Any]


def push(
    model: str, repo: str, private: bool = False, *, message: str = "Publish the model"
) -> PublishedModel:
    """Publish a model on the Hub, with a README made from its card.

    Parameters
    ----------
    model
        Name or folder.
    repo
        ``"organisation/name"``; created when missing.
    private
        Whether the repository is private. An existing public one is refused.
    message
        Of the commit.

    Raises
    ------
    FlomoError
        If the model cannot be loaded, which is tried first, or the Hub refuses it.
    """
    folder = registry.locate(model)
    _, card = registry.load_network(folder)
    files = {name: folder / name for name in card.files}
    with TemporaryDirectory() as temporary:
        for name, text in (
            ("README.md", readme_text(card, repo)),
            ("config.json", config_text(card)),
        ):
            files[name] = Path(temporary) / name
            files[name].write_text(text, encoding="utf-8")
        commit = upload(files, repo, private, message)
    pins = {name: vars(fingerprint(folder / name)) for name in card.files}
    bundled = card.name in index.available()
    entry = index.IndexEntry(card.name, card.summary, repo, commit, bundled, pins)
    return PublishedModel(f"{public_endpoint()}/{repo}/commit/{commit}", vars(entry))


def upload(
    files: Mapping[str, Path],
    repo: str,
    private: bool = False,
    message: str = "Publish the model",
) -> str:
    """Upload files, by their names in the repository, in one commit, and return its hash.

    The Hub's hashes of the files are verified afterwards. See `push` for the other parameters.
    """
    if not hub.is_repo(repo):
        raise FlomoError(f"{repo!r} is not the name of a repository; write organisation/name.")
    if (variable := offline_variable()) is not None:
        raise FlomoError(
            f"{variable} forbids network access, so nothing was published to {repo}; unset "
            f"{variable}."
        )
    from huggingface_hub import CommitOperationAdd

    with hub.hub_api(repo) as api:
        api.create_repo(repo, private=private or None, exist_ok=True)
    if private and not hub.look_up(hub.HubSource(repo)).private:
        raise FlomoError(
            f"The repository {repo} already exists and is public; nothing was sent: choose another "
            "name, or publish without --private."
        )
    with hub.hub_api(repo) as api:
        additions = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        commit = api.create_commit(repo, additions, commit_message=message).oid
    held = hub.look_up(hub.HubSource(repo, commit)).files
    for name, path in files.items():
        checksum = held.get(name)
        if checksum is None or not checksum.matches(path):
            raise FlomoError(
                f"{host()} has another {name} in {repo} than was sent; do not use this revision, "
                "and publish the model again."
            )
    return commit
