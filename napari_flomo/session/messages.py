"""Messages, choices and column titles that both viewers show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from napari_flomo import reports
from napari_flomo.jobs import Problem, Progress
from napari_flomo.models import ModelCard
from napari_flomo.session.earlier_labels import EarlierLabels
from napari_flomo.session.events import CorrectionKept
from napari_flomo.session.overwrite import Overwritten
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.session.runs import Run
from napari_flomo.volumes import AXIS_NAMES, Volume, in_stored_order

DISCLAIMER = reports.DISCLAIMER

DEVICES = (
    ("Automatic", "auto", "The GPU if there is one, else the CPU"),
    ("CPU", "cpu", "Slower, but always available"),
    ("GPU (CUDA)", "cuda", "An NVIDIA graphics card"),
)
"""Title, name and tooltip of each device."""

SCOPES = (
    ("This slice", "slice", "Only the slice on the screen; other slices keep their labels"),
    ("This stack", "stack", "All slices of the current frame"),
    ("All frames", "all", "All slices in all frames of a cine"),
)
"""Title, name and tooltip of each choice of `Scope.of_choice`."""

REVIEW_COLUMNS = (
    ("Slice", "Number of the slice, counted from 1"),
    ("cm²", "Uncertainty of the slice, as an area of full uncertainty in square centimetres"),
    ("State", "Open, seen, or accepted by you"),
    ("Edits", "Pixels whose label you changed"),
)
"""Title and tooltip of the columns of the review table, see `review_row`."""
REVIEW_TIP = "Slices to review; click one to go there, or a column title to sort"

MIRRORED_TITLE = "Use mirrored views"
MIRRORED_TIP = (
    "Average the predictions for each slice and its three mirror images: better labels, but four "
    "times slower"
)

SLICE_AXIS_PROMPT = "choose an axis"
SLICE_AXIS_UNCLEAR = "not clear along which axis the slices lie: choose it below"

SEGMENT_TIP = "Segment the structures; the image is not changed"
PROGRESS_TIP = "Progress and estimated remaining time"
IMAGE_TIP = "Properties of the chosen image"
CARD_TIP = "Structures, accuracy and licence of the model"

ACCEPT = ("✓ Accept", "Accept this slice and go to the next one")
"""Title and tooltip of the button, while the slice on the screen is not accepted."""
TAKE_BACK = ("Take back", "This slice is accepted: mark it as not accepted again")
"""Title and tooltip of the same button, while it is accepted."""

PROMOTE = ("Use the new model", "Use the new model for segmentation from now on")
"""Title and tooltip of the button, as those of the next two."""
KEEP_PARENT = ("Keep the old one", "Change nothing; the new model stays installed")
ROLL_BACK = ("Back to the previous model", "Undo the last promotion; no model is deleted")

SEGMENT_ANEW = ("Segment everything anew", "Replace the labels of all slices; they can be undone")
KEEP_TIP = "Segment the other slices; these keep their labels and their state"

NOT_OPEN = "This image is no longer open; open it again."
NOTHING_TO_REVIEW = "There is nothing to review yet; segment an image first."
ALL_ACCEPTED = "All slices in the list are accepted; save the labels to keep them."
ACCEPTED_OF = "A person accepted {} of {} slices."
ALIAS_TIP = "An alias that stands for you in the store of corrections: letters and digits"
STRUCTURED_REPORT = "DICOM structured report"
WRITING_STRUCTURED_REPORT = "Writing the DICOM structured report…"
TOOL_CHANGED_NOTHING = "The tool changed nothing here."
FIRST_IN_REVIEW = "This is the first slice of the list."
STARTS_HERE = "The review starts here, at the first slice of the list; accept it to go on."
EARLIER_UNREADABLE = "What you accepted of this image earlier cannot be read: {}"
CANCELLED = "Cancelled; nothing was changed."
PROMOTED = "{} is used for segmentation from now on."
PARENT_KEPT = "{} stays in use; the new model is listed under Models."
ROLLED_BACK = "{} is in use again."
SAVED_TO = "Saved to {}."
USE_VOXEL_SIZE = "Use {} mm"
VOXEL_SIZE_TIP = "The voxel size is not known: set that of these fields (also Enter in one of them)"
NO_GREY_VALUES = (
    "{} holds only true and false, as a mask does; choose the grey image that it belongs to."
)
NOTHING_FOUND = "No structure was found; check that the right image and model are chosen."
ONE_VALUE = "All voxels of this image have the same value, so there is nothing to find."
MISSING_SHOWN = "{} has voxels without a value (NaN); Segment asks what to do with them."
FILL_MISSING = (
    "Treat NaN as background",
    "Give voxels without a value the smallest value of the image, and segment it",
)
FILE_KEPT = "Nothing was saved; {} is unchanged."
"""Title and tooltip of the button, as those of the next two."""


class Choice(NamedTuple):
    """A button under a message: title, action and tooltip."""

    title: str
    action: Callable[[], object]
    tip: str


class Until(StrEnum):
    """When a message goes; see `MessageBoard`."""

    MOMENT = "moment"
    """A passing hint, for the status bar of the viewer."""
    ACTION = "action"
    """With the next action of the user on its image, or on any image if it has none."""
    RUN = "run"
    """With the next run on its image."""
    ANSWER = "answer"
    """When the user has answered."""
    SAVED = "saved"
    """When strokes are safe on the disk."""


@dataclass(frozen=True)
class Message:
    """A message for the user.

    Attributes
    ----------
    text
        One sentence: what happened, and what to do.
    level
        ``"info"``, ``"warning"`` or ``"error"``.
    details
        A traceback for a bug report.
    choices
        What the user can do about it.
    key
        The image that it is about, if any.
    kind
        `Problem.kind` of a failure, or another name for `MessageBoard.solve`.
    until
        When it goes.
    """

    text: str
    level: str = "info"
    details: str = ""
    choices: tuple[Choice, ...] = ()
    key: str | None = None
    kind: str = ""
    until: Until = Until.ACTION


def missing_values_message(problem: str, fill: Callable[[], object]) -> Message:
    """Return the offer for an image with voxels that have no value; ``fill`` accepts it."""
    title, tip = FILL_MISSING
    choices = (Choice(title, fill, tip),)
    return Message(problem, "warning", choices=choices, until=Until.ANSWER)


def count_text(number: int, noun: str, one: str = "1") -> str:
    """Return a number with a noun; ``one`` stands for the number 1."""
    return f"{one} {noun}" if number == 1 else f"{number} {noun}s"


def overwrite_text(found: Overwritten, undo_hint: str, cannot_keep: str = "") -> str:
    """Return the question before a run that would overwrite work of the user.

    ``cannot_keep`` is the name of the model whose labels mean something else than the present ones.
    """
    parts = []
    if found.accepted:
        parts.append(f"accepted {count_text(len(found.accepted), 'slice', 'a')}")
    if found.corrected:
        more = "corrected {} without accepting {}"
        which = "it" if len(found.corrected) == 1 else "them"
        parts.append(more.format(count_text(len(found.corrected), "slice", "a"), which))
    reason = f" The labels of {cannot_keep} mean something else." if cannot_keep else ""
    text = f"You {' and '.join(parts)}.{reason} What is not kept will be overwritten; "
    return f"{text}{undo_hint} restores it."


def keep_title(found: Overwritten) -> str:
    """Return the title of the choice to keep what is accepted, or else what is corrected."""
    kept, done = (found.accepted, "accepted") if found.accepted else (found.corrected, "corrected")
    slices = "slice" if len(kept) == 1 else f"{len(kept)} slices"
    return f"Keep the {slices} that you {done}"


def other_labels_message(
    name: str,
    image: str,
    key: str,
    use: Callable[[], object] | None,
    *,
    noun: str,
    tip: str,
) -> Message:
    """Return the message that strokes on labels do not count, as they are not the reviewed ones.

    Parameters
    ----------
    name
        Of the labels.
    image, key
        Name and key of the image.
    use
        Has them reviewed instead; None if that is not offered.
    noun
        What the viewer calls labels, for example "layer".
    tip
        What ``use`` does in this viewer.
    """
    choices = () if use is None else (Choice(f"Use this {noun}", use, tip),)
    text = other_labels_text(name, image, noun)
    return Message(text, "warning", choices=choices, key=key)


def other_labels_text(name: str, image: str, noun: str = "layer") -> str:
    """Return that strokes on labels do not count."""
    return f"{name} is not the {noun} of {image} that is reviewed: strokes on it do not count."


def slice_text(index: SliceIndex, volume: Volume) -> str:
    """Return the number of a slice, and of its frame if there are several, counted from 1."""
    text = f"slice {index.slice + 1} of {volume.n_slices}"
    frames = volume.n_frames
    return text if frames == 1 else f"{text}, frame {index.frame + 1} of {frames}"


def taken_back_text(index: SliceIndex, volume: Volume) -> str:
    """Return the message that a slice is no longer accepted."""
    text = slice_text(index, volume)
    comma = "" if volume.n_frames == 1 else ","
    return f"{text[0].upper()}{text[1:]}{comma} is no longer accepted."


def problem_message(problem: Problem, on_cpu: Callable[[], object], key: str | None) -> Message:
    """Return the message of a run that failed; ``on_cpu`` starts the same on the CPU."""
    choices: tuple[Choice, ...] = ()
    if problem.kind == "out_of_gpu_memory":
        tip = "Run on the CPU instead: slower, but it has enough memory"
        choices = (Choice("Use the CPU", on_cpu, tip),)
    if problem.kind == "nothing_learnt":
        return Message(problem.sentence, key=key)
    return Message(
        problem.sentence, "error", problem.details, choices, key, problem.kind, Until.RUN
    )


def brought_back_text(earlier: EarlierLabels, undo_hint: str) -> str:
    """Return the message that labels of an earlier day are shown."""
    one = len(earlier.slices) == 1
    shown = "is shown as you left it" if one else "are shown as you left them"
    model = f" ({earlier.model} proposed {'it' if one else 'them'})" if earlier.model else ""
    text = f"{_accepted_before(earlier)} {shown}{model}; {undo_hint}"
    return f"{text} restores the network's labels."


def other_structures_text(earlier: EarlierLabels) -> str:
    """Return the message that labels of an earlier day do not fit the model."""
    verb = "has" if len(earlier.slices) == 1 else "have"
    return (
        f"{_accepted_before(earlier)} {verb} other structures than this model, so your labels are "
        "not shown; they stay in your store of corrections."
    )


def _accepted_before(earlier: EarlierLabels) -> str:
    day, today = earlier.day, date.today()
    when = f"on {day.day} {day:%B}" + ("" if day.year == today.year else f" {day.year}")
    when = "earlier today" if day == today else when
    return f"{count_text(len(earlier.slices), 'slice')} that you accepted {when}"


def replace_text(names: Sequence[str]) -> str:
    """Return the question before files are overwritten."""
    if len(names) > 1:
        return f"{names[0]} and {count_text(len(names) - 1, 'other file')} exist. Replace them?"
    return f"{names[0]} exists. Replace it?"


def locked_text(codes: frozenset[int], card: ModelCard | None) -> str:
    """Return the message that locked labels were not changed."""
    names = {} if card is None else {label.code: label.name for label in card.labels}
    text = " and ".join(names.get(code, f"label {code}") for code in sorted(codes))
    return f"The {text} {'is' if len(codes) == 1 else 'are'} locked; unlock to change."


def review_row(review: Review, index: SliceIndex, moving: bool) -> tuple[str, ...]:
    """Return the texts of a slice for `REVIEW_COLUMNS`; ``moving`` if the image has frames."""
    name = str(index.slice + 1) + (f", frame {index.frame + 1}" if moving else "")
    edits = review.edits(index)
    return name, f"{review.score(index):.2f}", str(review.state(index)), str(edits or "")


def kept_text(kept: CorrectionKept) -> str:
    """Return how many slices the store of corrections holds, or why it does not yet."""
    if kept.problem is not None:
        return f"Not kept for learning yet: {kept.problem} Retrying."
    verb = "is" if kept.slices == 1 else "are"
    return f"{count_text(kept.slices, 'accepted slice')} {verb} kept for learning."


def proposed_name(image_name: str) -> str:
    """Return the name of the labels of the network, before any correction."""
    return f"{image_name} as the network found it"


def layout_text(layout: Volume, n_frames: int | None = None) -> str:
    """Describe size and spacing of an image in one line; its voxels are not read.

    ``n_frames`` is None for an image without frames; ``layout`` may be one frame.
    """
    parts = [] if n_frames is None else [count_text(n_frames, "frame")]
    if "slices" in layout.axes:
        parts.append(count_text(layout.n_slices, "slice"))
    parts.append(f"{layout.length('rows')} × {layout.length('columns')} pixels")
    column, row, between = layout.geometry.spacing
    if layout.geometry.spacing_known:
        thick = f" × {between:.3g}" if "slices" in layout.axes else ""
        parts.append(f"{row:.3g} × {column:.3g}{thick} mm")
    else:
        parts.append("voxel size not set")
    if not layout.slice_axis_known:
        parts.append(SLICE_AXIS_UNCLEAR)
    return ", ".join(parts)


def slice_axis_choices(volume: Volume) -> dict[str, str]:
    """Return the titles of the axes that the slices may lie along, by the name of the axis."""
    stored = in_stored_order(volume)
    lengths, steps = stored.spatial_shape[::-1], stored.geometry.spacing
    return {
        name: f"{name}: {length} samples of {step:.3g} mm"
        for name, length, step in zip(AXIS_NAMES, lengths, steps, strict=True)
    }


def progress_text(progress: Progress) -> str:
    """Describe the progress of a run."""
    if not progress.total:
        return progress.message or "Starting…"
    what = progress.message or "Working"
    left = "" if progress.seconds_left is None else f", {time_left(progress.seconds_left)} left"
    if progress.total > 100_000:  # bytes
        return f"{what}: {progress.done / 1e6:.1f} of {progress.total / 1e6:.1f} MB{left}"
    return f"{what}: {progress.done} of {progress.total}{left}"


def run_name(run: Run, image_name: str | None) -> str:
    """Return what a run works on: an image, one of its maps, or a model."""
    if image_name is None:
        return f"Download of {run.model}"
    if run.task == "learn_study":
        return f"Learning from {image_name}"
    return f"Uncertainty of {image_name}" if run.only_maps else image_name


def waiting_text(name: str, before: int) -> str:
    """Return how many runs come before one that waits."""
    return f"{name}: {place_text(before)}"


def place_text(before: int) -> str:
    """Return how many runs come before one that waits, without its name."""
    return f"queued, {before} ahead"


def time_left(seconds: float) -> str:
    """Describe a remaining time in seconds or minutes."""
    if seconds < 1:
        return "less than 1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
