"""Form of a report: what is known of the person."""

# No `from __future__ import annotations`: magicgui reads the hints.
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, kw_only=True)
class PersonOptions:
    """What a report says of the person; nothing of it is stored.

    Parameters
    ----------
    height_cm
        Height in centimetres, for values per body surface; 0 if unknown
    weight_kg
        Weight in kilograms, for values per body surface; 0 if unknown
    patient
        Line below the headline, such as a study number
    """

    height_cm: Annotated[float, {"label": "Height (cm)", "min": 0.0, "max": 250.0}] = 0.0
    weight_kg: Annotated[float, {"label": "Weight (kg)", "min": 0.0, "max": 400.0}] = 0.0
    patient: Annotated[str, {"label": "Patient or study"}] = ""
