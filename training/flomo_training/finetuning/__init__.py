"""Fine-tuning with corrections; the result is compared with its parent by the gate.

Examples
--------
>>> store = CorrectionStore.open("corrections")  # doctest: +SKIP
>>> corrected = gather(store, load_card("flomo-b0-acdc"), skipped := [])  # doctest: +SKIP
>>> readiness(corrected, read_settings()).sentence  # doctest: +SKIP
'Ready: 20 slices of 4 patients.'
>>> config = FinetuneConfig("flomo-b0-acdc", "corrections")  # doctest: +SKIP
>>> finetune(config, Path("runs/tuned")).folder  # doctest: +SKIP
"""

from __future__ import annotations

from flomo_training.finetuning.dataset import CorrectedFrame, CorrectionSet, corrected_frame, gather
from flomo_training.finetuning.patient_split import Readiness, folds, readiness
from flomo_training.finetuning.pipeline import FinetuneResult, check_readiness, learn
from flomo_training.finetuning.replay import read_replay
from flomo_training.finetuning.settings import Distillation, Settings, read_settings
from flomo_training.finetuning.study import StudyAdaptation, adapt_to_study, segment_again
from flomo_training.finetuning.tuning import TunedModel, finetune

__all__ = [
    "CorrectedFrame",
    "CorrectionSet",
    "Distillation",
    "FinetuneResult",
    "Readiness",
    "Settings",
    "StudyAdaptation",
    "TunedModel",
    "adapt_to_study",
    "check_readiness",
    "corrected_frame",
    "finetune",
    "folds",
    "gather",
    "learn",
    "read_replay",
    "read_settings",
    "readiness",
    "segment_again",
]
