"""What every viewer says of the same things."""

from __future__ import annotations

from napari_flomo.jobs import Progress
from napari_flomo.models import ModelCard

MIRRORED_TITLE = "Mirrored too"
MIRRORED_TIP = (
    "Show the network each slice and its three mirror images, and take the mean: better labels in "
    "four times as long"
)


def progress_text(progress: Progress) -> str:
    """Say how far work is."""
    if not progress.total:
        return progress.message or "Starting…"
    what = progress.message or "Working"
    left = "" if progress.seconds_left is None else f", {time_left(progress.seconds_left)} left"
    if progress.total > 100_000:  # bytes
        return f"{what}: {progress.done / 1e6:.1f} of {progress.total / 1e6:.1f} MB{left}"
    return f"{what}: {progress.done} of {progress.total}{left}"


def time_left(seconds: float) -> str:
    """Say how long something will take, no more exactly than it is known."""
    if seconds < 1:
        return "less than 1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def card_text(card: ModelCard) -> str:
    """Say what a model finds, how well, and under which licence, in rich text."""
    swatches = " ".join(
        f'<span style="color:{label.colour}">&#9632;</span>&nbsp;'
        + label.name.replace(" ", "&nbsp;")
        for label in card.labels[1:]
    )
    dice = card.metrics.get("mean_dice")
    accuracy = f"mean Dice {dice:.2f} on held-out data, " if isinstance(dice, float) else ""
    return f"{swatches}<br>{accuracy}weights: {card.licence}"
