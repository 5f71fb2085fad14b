"""Models: cards, verified weights, and bundled, downloaded and tuned models.

Importing this package is cheap: torch is imported with the first network, and huggingface_hub with
the first download or upload.
"""

from __future__ import annotations

from napari_flomo.models.card import (
    CARD_FILE,
    GRAPH_FILE,
    WEIGHTS_FILE,
    Graph,
    IntensityRule,
    ModelCard,
    Preprocessing,
    card_text,
)
from napari_flomo.models.family import (
    AUTOMATIC,
    Family,
    Specialist,
    default_model,
    family,
    in_use,
)
from napari_flomo.models.index import available
from napari_flomo.models.label import TISSUE, Concept, Label
from napari_flomo.models.listing import ModelState, info, list_models
from napari_flomo.models.loading import build_network, save_model
from napari_flomo.models.pinned import PinnedFile, download_pinned_file
from napari_flomo.models.promotion import base_of, parent_of, promote, rollback
from napari_flomo.models.promotion_file import Promotion, promoted_for, promotions
from napari_flomo.models.publish import PublishedModel, push
from napari_flomo.models.readme import flatten
from napari_flomo.models.registry import (
    VerificationResult,
    load_card,
    load_network,
    locate,
    open_model,
    pull,
    remove,
    verify,
)
from napari_flomo.models.signature import Signature
from napari_flomo.models.tuned import GATE_FOLDER, install_candidate
from napari_flomo.paths import cache_folder

__all__ = [
    "AUTOMATIC",
    "CARD_FILE",
    "GATE_FOLDER",
    "GRAPH_FILE",
    "TISSUE",
    "WEIGHTS_FILE",
    "Concept",
    "Family",
    "Graph",
    "IntensityRule",
    "Label",
    "ModelCard",
    "ModelState",
    "PinnedFile",
    "Preprocessing",
    "Promotion",
    "PublishedModel",
    "Signature",
    "Specialist",
    "VerificationResult",
    "available",
    "base_of",
    "build_network",
    "cache_folder",
    "card_text",
    "default_model",
    "download_pinned_file",
    "family",
    "flatten",
    "in_use",
    "info",
    "install_candidate",
    "list_models",
    "load_card",
    "load_network",
    "locate",
    "open_model",
    "parent_of",
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
