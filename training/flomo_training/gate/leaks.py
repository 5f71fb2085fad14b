"""Nothing is judged on a patient whom a model has seen in training; what is left out is said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from flomo_training.gate.cases import JudgedImage
from napari_flomo.models import ModelCard


def unseen(
    images: Sequence[JudgedImage],
    trained_on: Collection[str],
    corrected: Collection[str],
    tell: Callable[[str], object],
) -> list[JudgedImage]:
    """Return the images of patients of whom no model has seen anything.

    Parameters
    ----------
    images
        Of a reference set, with their traces.
    trained_on
        Fingerprints of the images that the models have seen, from their cards.
    corrected
        Traces of the images in the store of corrections.
    tell
        Is told one sentence for each patient who is left out.
    """
    taught, in_store = set(trained_on), set(corrected)
    why: dict[str, str] = {}
    for image in images:
        if image.traces & taught:
            why.setdefault(image.group, f"{image.name} was used for training")
        elif image.traces & in_store:
            why.setdefault(image.group, f"{image.name} shows a patient of the corrections")
    for group, reason in why.items():
        own = sum(image.group == group for image in images)
        tell(f"{reason}, so the {own} image(s) of this patient were left out.")
    return [image for image in images if image.group not in why]


def trained_on(
    parent: ModelCard, candidate: ModelCard, tell: Callable[[str], object]
) -> frozenset[str]:
    """Return the fingerprints of all images that either model has seen.

    Parameters
    ----------
    parent, candidate
        Their cards.
    tell
        Is told a sentence for each model of which that is not known.
    """
    found: set[str] = set()
    for card in (parent, candidate):
        if card.trained_on is None:
            tell(
                f"The card of {card.name} does not tell which images it was trained on, so the "
                "reference set may hold some of them."
            )
        else:
            found |= set(card.trained_on)
    return frozenset(found)
