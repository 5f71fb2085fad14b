"""Fine-tuning on corrections, behind a viewer's panel.

Examples
--------
>>> learning = Learning()  # doctest: +SKIP
>>> learning.available("flomo-b0-acdc").sentence  # doctest: +SKIP
'7 accepted slices of 2 patients, 3 of them new since the last training.'
>>> learning.train(FinetuneConfig("flomo-b0-acdc", learning.store))  # doctest: +SKIP
"""

from __future__ import annotations

from napari_flomo.jobs import FinetuneConfig
from napari_flomo.session.learning.available import AvailableSlices, Readiness
from napari_flomo.session.learning.gate_report import (
    GatePicture,
    GateRow,
    GateSummary,
    read_gate_report,
)
from napari_flomo.session.learning.learning import Learning
from napari_flomo.session.learning.state import LearnState
from napari_flomo.session.learning.training_run import (
    CurvePoint,
    TrainingRequest,
    TrainingRun,
    trainings_folder,
)

__all__ = [
    "AvailableSlices",
    "CurvePoint",
    "FinetuneConfig",
    "GatePicture",
    "GateRow",
    "GateSummary",
    "LearnState",
    "Learning",
    "Readiness",
    "TrainingRequest",
    "TrainingRun",
    "read_gate_report",
    "trainings_folder",
]
