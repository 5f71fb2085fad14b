"""What both viewers show about how volumes and mass are computed."""

from __future__ import annotations

from typing import NamedTuple


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
