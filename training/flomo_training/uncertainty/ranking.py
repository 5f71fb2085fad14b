"""Error detection by uncertainty maps: AUROC, AUPR, and risk against coverage.

Values of right and wrong pixels are counted in fine bins, so that the counts of patients can be
resampled and added. The bins are narrow near 0, where most values are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flomo_training.bootstrap import divide

BINS = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Histogram of right and wrong pixels over the value of a map.

    Attributes
    ----------
    counts
        ``(..., 2, BINS)``: right and wrong pixels, by rising values.
    """

    counts: Floats

    @classmethod
    def of(cls, values: NDArray[np.floating], wrong: NDArray[np.bool_]) -> Ranking:
        """Count pixels; arguments are flat, values lie between 0 and 1."""
        place = np.clip((values.astype(np.float64) ** 0.25 * BINS).astype(np.int64), 0, BINS - 1)
        return cls(
            np.stack([np.bincount(place[which], minlength=BINS) for which in (~wrong, wrong)])
        )

    def auroc(self) -> Floats:
        """Return the probability that a wrong pixel has a higher value than a right one.

        Ties count half. NaN if no pixel is wrong or none is right.
        """
        right, wrong = self.counts[..., 0, :], self.counts[..., 1, :]
        below = np.cumsum(right, -1) - right
        wins = (wrong * (below + right / 2)).sum(-1)
        pairs = right.sum(-1) * wrong.sum(-1)
        return divide(wins, pairs)

    def aupr(self) -> Floats:
        """Return the area under the precision-recall curve.

        An uninformative map has the fraction of wrong pixels.
        """
        right, wrong = self.counts[..., 0, ::-1], self.counts[..., 1, ::-1]
        found, selected = np.cumsum(wrong, -1), np.cumsum(right + wrong, -1)
        precision = np.divide(found, selected, out=np.zeros_like(found, float), where=selected > 0)
        return divide((precision * wrong).sum(-1), wrong.sum(-1))

    def risk_coverage(self) -> tuple[Floats, Floats]:
        """Return coverage and risk, keeping the pixels with the lowest values first.

        Two arrays ``(..., BINS)``.
        """
        right, wrong = self.counts[..., 0, :], self.counts[..., 1, :]
        kept, errors = np.cumsum(right + wrong, -1), np.cumsum(wrong, -1)
        total = kept[..., -1:]
        return divide(kept, np.broadcast_to(total, kept.shape)), divide(errors, kept)

    def aurc(self) -> Floats:
        """Return the area under the risk-coverage curve; smaller is better.

        An uninformative map has the fraction of wrong pixels.
        """
        pixels = self.counts.sum(-2)
        _, risk = self.risk_coverage()
        return divide((np.nan_to_num(risk) * pixels).sum(-1), pixels.sum(-1))

    def best_aurc(self) -> Floats:
        """Return the area under the risk-coverage curve of an oracle."""
        right, wrong = self.counts[..., 0, :].sum(-1), self.counts[..., 1, :].sum(-1)
        share = divide(wrong, right + wrong)
        # Risk is 0 up to the coverage 1 - e and (c - 1 + e) / c beyond.
        return share + (1 - share) * np.log1p(-share)
