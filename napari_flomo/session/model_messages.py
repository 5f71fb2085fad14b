"""What both viewers and the command line say about the choice of a model."""

from __future__ import annotations

from collections.abc import Sequence

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
    "stranger": "as the image is like those of no specialist",
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
