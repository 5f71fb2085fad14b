"""Learning from corrections, behind a viewer's panel: what waits, train, judge, use or keep.

Examples
--------
>>> learning = Learning()  # doctest: +SKIP
>>> learning.waiting("flomo-b0-acdc").sentence  # doctest: +SKIP
'7 accepted slices of 2 patients, 3 of them new since the last training.'
>>> learning.train("flomo-b0-acdc")  # doctest: +SKIP
"""

from __future__ import annotations

from napari_flomo.session.learning.gate_report import Judgement, Picture, Row, read_judgement
from napari_flomo.session.learning.learning import Learning
from napari_flomo.session.learning.training import Point, Request, Training, trainings_folder
from napari_flomo.session.learning.waiting import Readiness, Waiting

__all__ = [
    "Judgement",
    "Learning",
    "Picture",
    "Point",
    "Readiness",
    "Request",
    "Row",
    "Training",
    "Waiting",
    "read_judgement",
    "trainings_folder",
]
