"""Exclude patients that a model has seen in training from the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from flomo_training.gate.cases import EvaluationImage
from napari_flomo.models import ModelCard


def exclude_seen(
    images: Sequence[EvaluationImage],
    trained_on: Collection[str],
    corrected: Collection[str],
    note: Callable[[str], object],
) -> list[EvaluationImage]:
    """Return the images of patients that no model has seen.

    ``trained_on`` has the fingerprints of the models' training images, ``corrected`` the signatures
    of the images in the store of corrections. ``note`` is called with one sentence for each patient
    that is left out.
    """
    trained, in_store = set(trained_on), set(corrected)
    why: dict[str, str] = {}
    for image in images:
        if image.signatures & trained:
            why.setdefault(image.group, f"{image.name} was used for training")
        elif image.signatures & in_store:
            why.setdefault(image.group, f"{image.name} shows a patient of the corrections")
    for group, reason in why.items():
        own = sum(image.group == group for image in images)
        note(f"{reason}, so the {own} image(s) of this patient were left out.")
    return [image for image in images if image.group not in why]


def seen_fingerprints(
    parent: ModelCard, candidate: ModelCard, note: Callable[[str], object]
) -> frozenset[str]:
    """Return the fingerprints of the training images of both models.

    ``note`` is called with a sentence for each model whose training images are unknown.
    """
    found: set[str] = set()
    for card in (parent, candidate):
        if card.trained_on is None:
            note(
                f"The card of {card.name} does not list its training images, so the reference set "
                "may contain some of them."
            )
        else:
            found |= set(card.trained_on)
    return frozenset(found)
