"""Many studies at once: found, segmented by several processes, written down one by one.

Importing this room is cheap; torch is loaded by the workers, Dask where there are several.
"""

from __future__ import annotations

from napari_flomo.cohorts.finding import Choice, Study, find_studies
from napari_flomo.cohorts.order import FORMATS, Order
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.running import Summary, list_cohort, segment_cohort

__all__ = [
    "FORMATS",
    "Choice",
    "Order",
    "Row",
    "Study",
    "Summary",
    "find_studies",
    "list_cohort",
    "segment_cohort",
]
