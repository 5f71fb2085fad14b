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
    origin
        Whose patients, for example "the official ACDC test set"; empty if the card does not say.
    """

    low: float
    high: float
    unit: str
    patients: int
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.low:+.0f} to {self.high:+.0f} {self.unit}"


def agreement_limits(card: ModelCard, ventricle: str, measure: str) -> AgreementLimits | None:
    """Return the limits of agreement in a card's metrics, or None.

    ``ventricle`` is ``"left ventricle"`` or ``"right ventricle"``, ``measure`` ``"EDV"``, ``"ESV"``
    or ``"EF"``. A test set of its own, under ``"agreement"`` in the metrics, replaces the patients
    that the other metrics are of.
    """
    found: Any = card.metrics
    origin = ""
    if isinstance(test_set := found.get("agreement"), Mapping):
        found, origin = test_set, str(test_set.get("data", ""))
    for key in ("ventricles", ventricle, measure):
        found = found.get(key) if isinstance(found, Mapping) else None
    try:
        low, high = (float(limit) for limit in found["limits"])
        return AgreementLimits(low, high, str(found["unit"]), int(found["patients"]), origin)
    except (KeyError, TypeError, ValueError):
        return None


def agreement_patients(limits: AgreementLimits) -> str:
    """Return the patients of limits of agreement in words: how many, and of what data."""
    whose = f"of {limits.origin}" if limits.origin else "not seen in training"
    return f"{limits.patients} patients {whose}"
