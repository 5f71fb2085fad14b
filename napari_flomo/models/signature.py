"""Signatures: what the images of a model have in common, for choosing a model by the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_flomo.schema import SchemaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Signature:
    """Normal distribution of image statistics over the patients that a model suits.

    Parameters
    ----------
    kind
        Which statistics, `napari_flomo.segmentation.SIGNATURE_KIND`. Signatures of another kind
        cannot be compared.
    centre
        Mean of each statistic.
    covariance
        Their covariance, row by row.
    limit
        Images at a larger `distance` are strangers.
    patients
        Number of patients.
    title
        What the images are, for display, such as "LGE"; empty if unknown.
    """

    kind: str
    centre: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    limit: float
    patients: int
    title: str = ""

    def __post_init__(self) -> None:
        size = len(self.centre)
        if not size or [len(row) for row in self.covariance] != [size] * size:
            raise SchemaError("'covariance' must have a row and a column for each of 'centre'")
        if min(row[index] for index, row in enumerate(self.covariance)) <= 0:
            raise SchemaError("'covariance' must be positive on its diagonal")
        if self.limit <= 0 or self.patients < 1:
            raise SchemaError("'limit' and 'patients' must be positive")

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of each statistic."""
        import numpy as np

        return np.sqrt(np.diag(np.array(self.covariance)))

    def distance(self, statistics: ArrayLike) -> float:
        """Return the Mahalanobis distance of an image per square root of the number of statistics.

        It is about 1 for images like those of the patients.
        """
        return float(self._terms(statistics)[0] ** 0.5)

    def distance_to(self, other: Signature) -> float:
        """Return the distance of the centre of another signature; infinite for another kind."""
        if other.kind != self.kind or len(other.centre) != len(self.centre):
            return float("inf")
        return self.distance(other.centre)

    def misfit(self, statistics: ArrayLike) -> float:
        """Return the negative log likelihood per statistic, but for a constant; lower fits better.

        Unlike distances, these can be compared between signatures of different spread.
        """
        square, volume = self._terms(statistics)
        return (square + volume) / 2

    def _terms(self, statistics: ArrayLike) -> tuple[float, float]:
        """Return mean square deviation and log determinant, both per statistic."""
        import numpy as np

        covariance = np.array(self.covariance)
        deviation = np.asarray(statistics, np.float64) - self.centre
        square = float(deviation @ np.linalg.solve(covariance, deviation))
        volume = float(np.linalg.slogdet(covariance)[1])
        return square / len(deviation), volume / len(deviation)
