"""Release a model on the Hub: check it, describe it, upload it, say how to pin it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_flomo.models import cache, hub, shelf
from napari_flomo.models.index import IndexEntry
from napari_flomo.models.listing import structures
from napari_flomo.models.readme import config_text, readme_text


@dataclass(frozen=True)
class Push:
    """What was published.

    Attributes
    ----------
    url
        Address of the commit.
    entry
        What the index must say to pin the model to that commit, as JSON types.
    """

    url: str
    entry: dict[str, Any]


def push(
    model: str,
    repo: str,
    private: bool = False,
    *,
    message: str = "Publish the model",
    cancelled: Callable[[], bool] | None = None,
) -> Push:
    """Publish a model on the Hub, with a README made from its card.

    Parameters
    ----------
    model
        Name or folder.
    repo
        ``"organisation/name"``; made when missing.
    private
        Whether a new repository is private.
    message
        Of the commit.
    cancelled
        Asked many times a second.

    Raises
    ------
    FlomoError
        If the model cannot be loaded, which is tried first, or the Hub refuses.
    """
    folder = shelf.locate(model)
    _, card = shelf.load_network(folder)
    extra = {
        "README.md": readme_text(card, repo).encode(),
        "config.json": config_text(card).encode(),
    }
    published = hub.upload(folder, repo, private, extra=extra, message=message, cancelled=cancelled)
    files = {
        name: vars(cache.fingerprint(folder / name))
        for name in (shelf.CARD_FILE, shelf.WEIGHTS_FILE)
    }
    bundled = card.name in shelf.available()
    entry = IndexEntry(card.name, structures(card), repo, published.commit, bundled, files)
    return Push(published.url, vars(entry))
