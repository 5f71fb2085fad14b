"""What every viewer says of the same things."""

from __future__ import annotations

from datetime import datetime

from napari_flomo.corrections import Leftover, Replay
from napari_flomo.jobs import Progress
from napari_flomo.measures import agreement_of
from napari_flomo.models import ModelCard
from napari_flomo.volumes import AXIS_NAMES, Volume, in_stored_order

EARLIER_TITLE = "Bring back"
EARLIER_TIP = "Put your labels of these slices in place of the network's; one Undo takes them back"
MIRRORED_TITLE = "Mirrored too"
MIRRORED_TIP = (
    "Average the predictions for each slice and its three mirror images: better labels, but four "
    "times slower"
)

SLICE_AXIS_PROMPT = "choose an axis"
SLICE_AXIS_UNCLEAR = "not clear along which axis the slices lie: choose it below"


def slice_axis_choices(volume: Volume) -> dict[str, str]:
    """Return what a viewer offers as the slice axis of an image, by the name of the axis."""
    stored = in_stored_order(volume)
    lengths, steps = stored.spatial_shape[::-1], stored.geometry.spacing
    return {
        name: f"{name}: {length} samples of {step:.3g} mm"
        for name, length, step in zip(AXIS_NAMES, lengths, steps, strict=True)
    }


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


def journal_text(problem: str | None) -> str:
    """Say that strokes cannot be written, as a `Autosave` tells it, or that they can again."""
    if problem is None:
        return "Strokes are written to the disk again."
    return f"Your strokes are not safe on the disk: {problem}"


def leftover_text(left: Leftover, others: int = 0) -> str:
    """Say what a crash left, and of how many other images there is more."""
    when = datetime.fromtimestamp(left.last_change).strftime("%d %B %Y, %H:%M")
    one = left.strokes == 1
    strokes = "1 unsaved change" if one else f"{left.strokes} unsaved changes"
    more = f" (and {others} more of other images)" if others else ""
    model = f" of labels by {left.model}" if left.model else ""
    return f"{strokes}{model} of {when} {'was' if one else 'were'} left behind{more}."


def earlier_text(count: int) -> str:
    """Say of how many slices there are labels of an earlier day."""
    slices = "a slice" if count == 1 else f"{count} slices"
    return f"You corrected {slices} of this image before."


def restored_text(found: Replay) -> str:
    """Say what was brought back after a crash."""
    strokes = "1 change" if found.strokes == 1 else f"{found.strokes} changes"
    lost = f" {found.lost}" if found.lost else ""
    return f"Restored {strokes}.{lost}"


def agreement_text(card: ModelCard) -> str:
    """Say how far the model's ejection fractions are from a reader's; empty if nobody measured."""
    found = {side: agreement_of(card, f"{side} ventricle", "EF") for side in ("left", "right")}
    known = {side: one for side, one in found.items() if one is not None}
    if not known:
        return ""
    sides = ", ".join(f"{side} {one}" for side, one in known.items())
    patients = min(one.patients for one in known.values())
    return (
        f"EF before correction, against a reader (95 % limits of agreement, {patients} patients "
        f"that training never saw): {sides}"
    )
