"""The shelf of models: cards, verified weights, bundled, fetched and tuned models.

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
from napari_flomo.models.library import Verdict, info, pull, remove, verify
from napari_flomo.models.listing import ModelState, list_models
from napari_flomo.models.pinned import PinnedFile, fetch
from napari_flomo.models.promotion import (
    Promotion,
    base_of,
    in_use,
    promote,
    promoted_for,
    promotions,
    rollback,
)
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
from napari_flomo.models.tuned import install_candidate
from napari_flomo.paths import cache_folder

__all__ = [
    "Concept",
    "IntensityRule",
    "Label",
    "ModelCard",
    "ModelState",
    "PinnedFile",
    "Preprocessing",
    "Promotion",
    "Push",
    "Verdict",
    "available",
    "base_of",
    "build_network",
    "cache_folder",
    "fetch",
    "import_reference",
    "in_use",
    "info",
    "install_candidate",
    "list_models",
    "load_card",
    "load_network",
    "locate",
    "promote",
    "promoted_for",
    "promotions",
    "pull",
    "push",
    "remove",
    "rollback",
    "save_model",
    "verify",
]
