"""The classes of a network: code, name, colour and SNOMED CT term of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_flomo.schema import require

LARGEST_CODE = 255
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Concept:
    """A coded term of SNOMED CT.

    Parameters
    ----------
    code, meaning
        SNOMED CT identifier and its term, for example "87878005" and "Left ventricle".
    """

    code: str
    meaning: str


STRUCTURE = Concept("123037004", "Anatomical Structure")
TISSUE = Concept("85756007", "Tissue")
"""SNOMED CT category of labels that are a tissue."""


@dataclass(frozen=True)
class Label:
    """One class of the network.

    Parameters
    ----------
    code
        Value of its voxels in the label image, 0 to 255; 0 is the background.
    name
        Name for display.
    colour
        ``"#rrggbb"``, for display.
    snomed
        The structure in SNOMED CT, if there is a matching term.
    """

    code: int
    name: str
    colour: str
    snomed: Concept | None = None

    def __post_init__(self) -> None:
        require(0 <= self.code <= LARGEST_CODE, f"'code' must be 0 to 255, not {self.code}")
        require(bool(self.name), "'name' of a label must not be empty")
        require(
            _COLOUR.fullmatch(self.colour) is not None,
            f"'colour' must look like \"#1f77b4\", not {self.colour!r}",
        )

    @property
    def terms(self) -> tuple[Concept, Concept]:
        """Category and type of the structure in SNOMED CT, for DICOM and 3D Slicer.

        A label without a SNOMED CT term is a tissue, the least specific category.
        """
        return (TISSUE, TISSUE) if self.snomed is None else (STRUCTURE, self.snomed)
