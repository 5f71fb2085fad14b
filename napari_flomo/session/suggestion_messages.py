"""Messages about what a model learns from the open study, and suggests there."""

from __future__ import annotations

from napari_flomo.session.messages import count_text

LEARN_STUDY = (
    "Learn from this study",
    "Adapt the model to the slices that you accepted, for this study only, and suggest labels for "
    "the others; accept at least 2 slices first",
)
"""Title and tooltip of the button."""

ALL_DONE = "All slices are accepted or corrected; there are none left to suggest labels for."


def too_few_text(accepted: int, least: int) -> str:
    """Return that more slices must be accepted before anything can be learnt from them."""
    return f"Accept at least {least} slices first; {accepted} accepted so far."


def suggested_text(corrected: int, undo_hint: str) -> str:
    """Return what was learnt from, and that the labels elsewhere are suggestions."""
    return (
        f"Learnt from {count_text(corrected, 'accepted slice')}: the slices that you have neither "
        f"accepted nor changed show new suggestions; {undo_hint} restores the previous labels."
    )
