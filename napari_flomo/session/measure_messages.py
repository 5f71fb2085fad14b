"""What both viewers show about how volumes and mass are computed, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from napari_flomo.measures import agreement_limits, agreement_patients
from napari_flomo.models import ModelCard

WALL = ("Wall", "Insertion points of the right ventricle, which place the 16 segments of the wall")
"""Title and tooltip of the menu of `SHOW_INSERTIONS` and `AUTOMATIC_INSERTIONS`."""
SHOW_INSERTIONS = (
    "Show insertion points",
    "Show in end diastole and end systole where the right ventricle meets the left; drag to move",
)
AUTOMATIC_INSERTIONS = ("Automatic", "Find all insertion points from the labels again")
INSERTION_ENDS = ("anterior", "inferior")
INSERTIONS_SHOWN = "Drag an insertion point to move it; the segments of the report follow."
INSERTIONS_AUTOMATIC = "All insertion points are found from the labels again."
NO_INSERTIONS = (
    "No insertion points are known: the labels of the right ventricle touch the wall in no slice."
)
UNDO_INSERTIONS_TIP = "Restore the previous insertion points"


def moved_text(slices: Sequence[int]) -> str:
    """Return the message that insertion points of slices, counted from 0, were moved."""
    numbers = ", ".join(str(number + 1) for number in slices)
    return f"Insertion points of slice {numbers} moved."


class ConventionField(NamedTuple):
    """A field of `Conventions` in a form: its name, title, tooltip, and titles of its values."""

    name: str
    title: str
    tip: str
    choices: tuple[tuple[str, str], ...]


CONVENTION_FIELDS = (
    ConventionField(
        "papillary_muscles",
        "Papillary muscles",
        "Where papillary muscles and trabeculae of the left ventricle are counted. The dark pixels "
        "of the cavity are found by the grey values of the image",
        (
            ("As labelled", "as-labelled"),
            ("Dark pixels of the cavity as myocardium", "myocardium"),
        ),
    ),
    ConventionField(
        "basal_slices",
        "Basal slices",
        "Which slices at the base count for the left ventricle",
        (
            ("All labelled slices", "all"),
            ("If wall encloses half of the cavity", "half-enclosed"),
        ),
    ),
    ConventionField(
        "slice_gaps",
        "Gaps between slices",
        "What a slice stands for: the distance to the next slice, or its thickness",
        (
            ("Included", "included"),
            ("Interpolated", "interpolated"),
            ("Left out", "excluded"),
        ),
    ),
)
"""The choices of a form; with `DENSITY` they make a `Conventions`."""

DENSITY = ("Density (g/ml)", "Of myocardium, for the mass")
"""Title and tooltip of the number; its limits are `DENSITIES_G_PER_ML`."""


def agreement_text(card: ModelCard) -> str:
    """Describe limits of agreement of a model's EF with a reader; empty if not measured."""
    found = {side: agreement_limits(card, f"{side} ventricle", "EF") for side in ("left", "right")}
    known = {side: one for side, one in found.items() if one is not None}
    if not known:
        return ""
    sides = ", ".join(f"{side} {one}" for side, one in known.items())
    patients = agreement_patients(min(known.values(), key=lambda one: one.patients))
    return f"Uncorrected EF, 95 % limits of agreement with a reader ({patients}): {sides}"
