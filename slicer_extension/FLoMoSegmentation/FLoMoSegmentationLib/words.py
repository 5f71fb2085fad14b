"""What the panels say, in the words that napari uses for the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_flomo.jobs import Progress
    from napari_flomo.models import ModelCard
    from napari_flomo.session import Place, Review

DEVICES = (("auto", "Automatic"), ("cpu", "CPU"), ("cuda", "GPU (CUDA)"))
COLUMNS = ("Slice", "Uncertainty, cm²", "State", "Edits")


def progress_text(progress: Progress) -> str:
    """Say how far work is."""
    from napari_flomo.session import messages  # not installed yet when the panels are built

    return messages.progress_text(progress)


def card_text(card: ModelCard) -> str:
    """Say what a model finds, how well, and under which licence, in rich text."""
    from napari_flomo.session import messages

    return messages.card_text(card)


def review_row(review: Review, place: Place, moving: bool) -> tuple[str, ...]:
    """Return what the list of slices says of one, for `COLUMNS`.

    Parameters
    ----------
    review, place
        The review, and a slice of it.
    moving
        Whether there are frames to be named.
    """
    name = str(place.slice + 1) + (f", frame {place.frame + 1}" if moving else "")
    edits = review.edits(place)
    return name, f"{review.score(place):.2f}", str(review.state(place)), str(edits or "")


def scale_text(largest: float) -> str:
    """Say where the colours of a map end that does not fill its range."""
    return f"The colours end at {largest:.2g}, the largest value in this image."


def kept_text(slices: int, problem: str | None) -> str:
    """Say what the store of corrections holds of an image."""
    if problem is not None:
        return f"Not kept yet, it is tried again: {problem}"
    return f"{slices} accepted {'slice is' if slices == 1 else 'slices are'} kept for learning."
