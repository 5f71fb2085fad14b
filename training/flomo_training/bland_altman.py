"""Bias and limits of agreement of two measurements.

After Bland and Altman, Statistical methods for assessing agreement between two methods of clinical
measurement, Lancet 327:307, 1986: bias is the mean of the differences, and the limits of agreement
are bias +- 1.96 standard deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flomo_training.bootstrap import Estimate, Sample, estimate

NORMAL_95 = 1.96


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two measurements.

    Attributes
    ----------
    count
        Number of differences.
    bias
        Their mean, with its bootstrap interval over patients.
    lower, upper
        Limits of agreement; NaN for fewer than two differences.
    """

    count: int
    bias: Estimate
    lower: float
    upper: float


def bland_altman(differences: Sequence[float], patients: Sequence[str]) -> BlandAltman:
    """Return bias and limits of agreement of differences, each of a patient; there must be one."""
    bias = estimate(Sample(differences, patients, [""] * len(differences)))
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else float("nan")
    margin = NORMAL_95 * spread
    return BlandAltman(len(differences), bias, bias.value - margin, bias.value + margin)
