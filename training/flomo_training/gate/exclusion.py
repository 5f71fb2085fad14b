"""Exclude patients that a model has seen in training from the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from flomo_training.gate.cases import EvaluationImage
from napari_flomo.models import ModelCard


def exclude_seen(
    images: Sequence[EvaluationImage],
    trained_on: Collection[str],
    corrected: Collection[str],
    tell: Callable[[str], object],
) -> list[EvaluationImage]:
    """Return the images of patients that no model has seen.

    Parameters
    ----------
    images
        Of a reference set.
    trained_on
        Fingerprints of the models' training images, from their cards.
    corrected
        Signatures of the images in the store of corrections.
    tell
        Called with one sentence for each patient that is left out.
    """
    taught, in_store = set(trained_on), set(corrected)
    why: dict[str, str] = {}
    for image in images:
        if image.signatures & taught:
            why.setdefault(image.group, f"{image.name} was used for training")
        elif image.signatures & in_store:
            why.setdefault(image.group, f"{image.name} shows a patient of the corrections")
    for group, reason in why.items():
        own = sum(image.group == group for image in images)
        tell(f"{reason}, so the {own} image(s) of this patient were left out.")
    return [image for image in images if image.group not in why]


def seen_fingerprints(
    parent: ModelCard, candidate: ModelCard, tell: Callable[[str], object]
) -> frozenset[str]:
    """Return the fingerprints of the training images of both models.

    Parameters
    ----------
    parent, candidate
        Their cards.
    tell
        Called with a sentence for each model whose training images are unknown.
    """
    found: set[str] = set()
    for card in (parent, candidate):
        if card.trained_on is None:
            tell(
                f"The card of {card.name} does not list its training images, so the reference set "
                "may contain some of them."
            )
        else:
            found |= set(card.trained_on)
    return frozenset(found)
