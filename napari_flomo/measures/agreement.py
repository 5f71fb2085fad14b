"""Limits of agreement of a model with a reader, from its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_flomo.models import ModelCard


@dataclass(frozen=True)
class AgreementLimits:
    """Limits of agreement of one measure, on patients that were not used for training.

    Attributes
    ----------
    low, high
        Result less reference: mean -1.96 and +1.96 standard deviations of the differences (Bland
        and Altman, Lancet 1986, doi 10.1016/S0140-6736(86)90837-8). Labels were not corrected.
    unit
        "ml" or "%".
    patients
        Number of patients.
    """

    low: float
    high: float
    unit: str
    patients: int

    def __str__(self) -> str:
        return f"{self.low:+.0f} to {self.high:+.0f} {self.unit}"


def agreement_limits(card: ModelCard, ventricle: str, measure: str) -> AgreementLimits | None:
    """Return the limits of agreement in a card's metrics, or None.

    ``ventricle`` is ``"left ventricle"`` or ``"right ventricle"``, ``measure`` ``"EDV"``, ``"ESV"``
    or ``"EF"``.
    """
    found: Any = card.metrics
    for key in ("ventricles", ventricle, measure):
        found = found.get(key) if isinstance(found, Mapping) else None
    try:
        low, high = (float(limit) for limit in found["limits"])
        return AgreementLimits(low, high, str(found["unit"]), int(found["patients"]))
    except (KeyError, TypeError, ValueError):
        return None
