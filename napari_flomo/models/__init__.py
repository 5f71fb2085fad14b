"""The shelf of models: cards, verified weights, bundled models.

Importing this room is cheap; torch is loaded when a network is.
"""

from __future__ import annotations

from napari_flomo.models.card import (
    Concept,
    IntensityRule,
    Label,
    ModelCard,
    Preprocessing,
)
from napari_flomo.models.shelf import (
    available,
    build_network,
    load_card,
    load_network,
    locate,
    save_model,
)

__all__ = [
    "Concept",
    "IntensityRule",
    "Label",
    "ModelCard",
    "Preprocessing",
    "available",
    "build_network",
    "load_card",
    "load_network",
    "locate",
    "save_model",
]
