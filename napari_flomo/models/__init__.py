"""The shelf of models: cards, verified weights, bundled and fetched models.

Importing this room is cheap; torch is loaded when a network is, and the Hub's client when something
is fetched or published.
"""

from __future__ import annotations

from napari_flomo.models.card import (
    Concept,
    IntensityRule,
    Label,
    ModelCard,
    Preprocessing,
)
from napari_flomo.models.library import (
    ModelState,
    Verdict,
    info,
    list_models,
    pull,
    remove,
    verify,
)
from napari_flomo.models.pinned import PinnedFile, fetch
from napari_flomo.models.reference import import_reference
from napari_flomo.models.release import Push, push
from napari_flomo.models.shelf import (
    available,
    build_network,
    load_card,
    load_network,
    locate,
    save_model,
)
from napari_flomo.places import cache_folder

__all__ = [
    "Concept",
    "IntensityRule",
    "Label",
    "ModelCard",
    "ModelState",
    "PinnedFile",
    "Preprocessing",
    "Push",
    "Verdict",
    "available",
    "build_network",
    "cache_folder",
    "fetch",
    "import_reference",
    "info",
    "list_models",
    "load_card",
    "load_network",
    "locate",
    "pull",
    "push",
    "remove",
    "save_model",
    "verify",
]
