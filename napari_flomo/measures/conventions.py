"""Conventions of measuring on which laboratories differ, and which change the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_flomo.schema import SchemaError

MYOCARDIAL_DENSITY_G_PER_ML = 1.05
"""Schulz-Menger et al., Standardized image interpretation and post-processing in cardiovascular
magnetic resonance - 2020 update, J Cardiovasc Magn Reson 22:19, doi 10.1186/s12968-020-00610-6."""

DENSITIES_G_PER_ML = (0.9, 1.2)
"""Smallest and largest density of myocardium that is accepted."""

SMALLEST_ENCLOSED = 0.5
"""Fraction of the border of the cavity in a basal slice that wall must enclose."""

SLICE_THICKNESS_UNKNOWN = (
    "The slice thickness of this image is not known, and gaps between slices follow from it; give "
    "the thickness, or include the gaps."
)
"""Why gaps cannot be counted by a convention, for users."""


@dataclass(frozen=True)
class Conventions:
    """How volumes and mass are computed from labels; the defaults are those of earlier versions.

    Attributes
    ----------
    papillary_muscles
        Where papillary muscles and trabeculae of the left ventricle belong: ``"as-labelled"``, or
        ``"myocardium"``: dark pixels of the cavity, which needs the image, see `measured_frame`.
    basal_slices
        ``"all"``, or ``"half-enclosed"``: a slice at the base of the left ventricle counts only if
        wall encloses at least half of its cavity.
    slice_gaps
        ``"included"``: a slice stands for the distance to the next slice (Simpson's method of
        discs). ``"interpolated"``: a slice stands for its thickness, and a gap between two slices
        for the mean of both areas. ``"excluded"``: gaps are left out. The last two need the slice
        thickness.
    density_g_per_ml
        Of myocardium, for the mass.

    Raises
    ------
    SchemaError
        If the density is not that of tissue.
    """

    papillary_muscles: Literal["as-labelled", "myocardium"] = "as-labelled"
    basal_slices: Literal["all", "half-enclosed"] = "all"
    slice_gaps: Literal["included", "interpolated", "excluded"] = "included"
    density_g_per_ml: float = MYOCARDIAL_DENSITY_G_PER_ML

    def __post_init__(self) -> None:
        low, high = DENSITIES_G_PER_ML
        if not low <= self.density_g_per_ml <= high:
            raise SchemaError(
                f"A density of {self.density_g_per_ml:g} g/ml is not that of myocardium; give "
                f"{low:g} to {high:g}."
            )

    @property
    def change_labels(self) -> bool:
        """Whether other voxels are counted than those that are labelled."""
        return self.papillary_muscles != "as-labelled" or self.basal_slices != "all"

    @property
    def need_image(self) -> bool:
        """Whether grey values decide what is counted."""
        return self.papillary_muscles != "as-labelled"

    @property
    def need_thickness(self) -> bool:
        """Whether the slice thickness must be known."""
        return self.slice_gaps != "included"

    def sentences(self) -> tuple[str, ...]:
        """Return what a report says about volumes and mass."""
        gaps = {
            "included": "each slice stands for the distance to the next one, so gaps between "
            "slices are included",
            "interpolated": "each slice stands for its thickness, a gap between two slices for the "
            "mean of both areas",
            "excluded": "each slice stands for its thickness; gaps between slices are left out",
        }
        papillary = {
            "as-labelled": "Papillary muscles and trabeculae belong to the structure that the "
            "labels give them.",
            "myocardium": "Papillary muscles and trabeculae of the left ventricle, the dark pixels "
            "of its cavity, are counted as myocardium.",
        }
        basal = {
            "all": "Every labelled slice counts.",
            "half-enclosed": "A slice at the base of the left ventricle counts if wall encloses at "
            "least half of its cavity.",
        }
        return (
            f"Volumes: {gaps[self.slice_gaps]}.",
            papillary[self.papillary_muscles],
            basal[self.basal_slices],
            f"Mass: myocardium at end diastole, {self.density_g_per_ml:g} g/ml.",
        )

    def differences(self) -> tuple[str, ...]:
        """Return the sentences that differ from those of the defaults."""
        usual = Conventions().sentences()
        return tuple(one for one in self.sentences() if one not in usual)
