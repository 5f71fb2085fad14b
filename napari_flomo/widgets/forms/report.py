"""Forms of a report: what is known of the person, and how volumes and mass are computed."""

# No `from __future__ import annotations`: magicgui reads the hints.
from dataclasses import dataclass
from typing import Annotated, Any

from magicgui.widgets import FunctionGui

from napari_flomo.measures import DENSITIES_G_PER_ML, Conventions
from napari_flomo.session import measure_messages
from napari_flomo.widgets.forms.form import make_form


@dataclass(frozen=True, kw_only=True)
class PersonOptions:
    """What a report says of the person; nothing of it is stored.

    Parameters
    ----------
    height_cm
        Height in centimetres, for values per body surface; 0 if unknown
    weight_kg
        Weight in kilograms, for values per body surface; 0 if unknown
    heart_rate
        Beats per minute, for the cardiac output; 0 for that of the image
    patient
        Line below the headline, such as a study number
    """

    height_cm: Annotated[float, {"label": "Height (cm)", "min": 0.0, "max": 250.0}] = 0.0
    weight_kg: Annotated[float, {"label": "Weight (kg)", "min": 0.0, "max": 400.0}] = 0.0
    heart_rate: Annotated[float, {"label": "Heart rate (/min)", "min": 0.0, "max": 250.0}] = 0.0
    patient: Annotated[str, {"label": "Patient or study"}] = ""


def make_conventions_form(conventions: Conventions) -> FunctionGui[..., Conventions]:
    """Return the form of conventions, with the present ones chosen."""
    options: dict[str, dict[str, Any]] = {
        one.name: {"label": one.title, "tooltip": one.tip, "choices": list(one.choices)}
        for one in measure_messages.CONVENTION_FIELDS
    }
    title, tip = measure_messages.DENSITY
    low, high = DENSITIES_G_PER_ML
    number = {"label": title, "tooltip": tip, "min": low, "max": high, "step": 0.01}
    options["density_g_per_ml"] = number
    form = make_form(Conventions, **options)
    with form.changed.blocked():
        form.update(vars(conventions))
    return form
