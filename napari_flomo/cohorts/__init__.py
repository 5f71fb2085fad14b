"""Segment many studies with several processes.

Importing this package is cheap; torch is loaded by the workers, Dask only for several workers.
"""

from __future__ import annotations

from napari_flomo.cohorts.config import FORMATS, CohortConfig
from napari_flomo.cohorts.running import CohortSummary, list_cohort, segment_cohort
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.volumes import Study, StudyFilter, find_studies

__all__ = [
    "FORMATS",
    "CohortConfig",
    "CohortSummary",
    "Study",
    "StudyFilter",
    "StudyResult",
    "find_studies",
    "list_cohort",
    "segment_cohort",
]
