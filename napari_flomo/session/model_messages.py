"""What both viewers and the command line say about models and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence

from napari_flomo.models import ModelCard, ModelState
from napari_flomo.session.colours import structure_colours

AUTOMATIC_TITLE = "Chosen by the image"
AUTOMATIC_TIP = (
    "The specialist for images like this one, or else the model for all others; choose a model "
    "here to use exactly that one"
)
SPECIALIST_PROMOTED = (
    "{} is used from now on for images like those that it was trained with; all others keep the "
    "model that they had."
)

_REASONS = {
    "nearest": "chosen by the image",
    "parent": "chosen by the image: it suits better than the specialists",
    "stranger": "because no specialist matches the image",
    "failed": "because the specialists could not be used",
}


def choice_text(title: str, reason: str) -> str:
    """Say which model an image chose, and why: ``reason`` is that of `ModelChoice`."""
    noun = " specialist" if reason == "nearest" else ""
    return f"{title}{noun}, {_REASONS[reason]}"


def family_text(titles: Sequence[str]) -> str:
    """Say which specialists there are."""
    if not titles:
        return "No specialist can be used"
    return f"Specialist{'s' * (len(titles) > 1)} for {', '.join(titles)}"


def model_title(state: ModelState) -> str:
    """Return the title of a model in a list."""
    if state.state == "specialist":
        return f"{state.name} ({f'{state.title} '.lstrip()}specialist)"
    return state.name if state.folder else f"{state.name} (will be downloaded)"


def card_text(card: ModelCard) -> str:
    """Describe structures, accuracy and licence of a model in rich text."""
    colours = structure_colours(card.labels)
    swatches = " ".join(
        f'<span style="color:{colours[label.code]}">&#9632;</span>&nbsp;' + label.name
        for label in card.labels[1:]
    )
    dice = card.metrics.get("mean_dice")
    accuracy = f"mean Dice {dice:.2f} on held-out data, " if isinstance(dice, float) else ""
    return f"{swatches}<br>{accuracy}weights: {card.licence}"
