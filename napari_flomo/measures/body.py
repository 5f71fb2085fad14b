"""Body surface area, by which volumes and mass are indexed."""

from __future__ import annotations

import math

from napari_flomo.errors import FlomoError

HEIGHTS_CM = (30.0, 250.0)
WEIGHTS_KG = (1.0, 400.0)


def body_surface_m2(height_cm: float | None, weight_kg: float | None) -> float | None:
    """Return the body surface area in square metres; None if neither measure is known.

    Mosteller's formula, the root of height times weight over 3600 (N Engl J Med 317:1098, 1987).

    Raises
    ------
    FlomoError
        If only one of them is known, or one is not that of a person.
    """
    if height_cm is None and weight_kg is None:
        return None
    if height_cm is None or weight_kg is None:
        raise FlomoError("The body surface needs both height (cm) and weight (kg); give both.")
    if not HEIGHTS_CM[0] <= height_cm <= HEIGHTS_CM[1]:
        raise FlomoError(f"A height of {height_cm:g} cm is not plausible; give centimetres.")
    if not WEIGHTS_KG[0] <= weight_kg <= WEIGHTS_KG[1]:
        raise FlomoError(f"A weight of {weight_kg:g} kg is not plausible; give kilograms.")
    return math.sqrt(height_cm * weight_kg / 3600)
