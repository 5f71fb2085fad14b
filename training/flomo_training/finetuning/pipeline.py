"""From corrections to a candidate: fine-tune, recalibrate, run the gate, install."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flomo_training.finetuning.dataset import gather
from flomo_training.finetuning.patient_split import readiness
from flomo_training.finetuning.recalibration import recalibrate
from flomo_training.finetuning.settings import read_settings
from flomo_training.finetuning.share import NOTHING
from flomo_training.finetuning.tuning import TunedModel, finetune
from flomo_training.gate import GateReport, run_gate
from napari_flomo.corrections import CorrectionStore
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import install_candidate, load_card
from napari_flomo.progress import Progress, ProgressCallback, no_progress
from napari_flomo.segmentation import write_graph

_LOG = logging.getLogger(__name__)

GATE = "gate"
"""Folder of the gate's report, in the folder of a candidate."""


@dataclass(frozen=True)
class FinetuneResult:
    """Name of a candidate among the tuned models, its training, and the report of the gate.

    There is neither name nor report if there was nothing to learn.
    """

    parent: str
    tuned: TunedModel
    candidate: str | None = None
    gate: GateReport | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON, for viewers and scripts."""
        tuned, gate = self.tuned, self.gate
        lineage: Mapping[str, Any] = (tuned.card and tuned.card.lineage) or {}
        return {
            "candidate": self.candidate,
            "folder": str(tuned.folder),
            "parent": self.parent,
            "sentence": NOTHING if tuned.card is None else "",
            "gate": gate
            and {
                "verdict": gate.verdict,
                "passed": gate.passed,
                "reasons": list(gate.reasons),
                "report": str(tuned.folder / GATE / "report.json"),
                "pictures": list(gate.pictures),
                "left_out": list(gate.left_out),
            },
            "corrections": lineage.get("corrections"),
            "held_out": [asdict(one) for fold in tuned.folds for one in fold.held_out],
            "held_out_dice": {"before": tuned.way.before, "after": tuned.way.after},
            "share": tuned.way.share,
            "step": tuned.way.step,
            "curves": str(tuned.curves),
            "seconds": tuned.seconds,
            "skipped": list(tuned.skipped),
        }


def learn(
    config: FinetuneConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FinetuneResult:
    """Fine-tune and recalibrate a model, compare it with its parent, install it as a candidate.

    If there is nothing to learn, it ends with the fine-tuning. The arguments are those of
    `finetune`, the errors those of `finetune` and `run_gate`.
    """
    tuned = finetune(config, out, resume=resume, progress=progress, cancelled=cancelled)
    parent = load_card(config.base).name
    if tuned.card is None:
        return FinetuneResult(parent, tuned)
    store = Path(config.store)
    report_progress = progress or no_progress
    report_progress(Progress(message="Calibrating"))
    recalibrate(tuned.folder, CorrectionStore.open(store), tuned.folds, config.device, cancelled)
    report_progress(Progress(message="Writing the graph"))
    add_graph(tuned.folder)
    tuned = replace(tuned, card=load_card(tuned.folder))
    report = run_gate(
        parent=config.base,
        candidate=tuned.folder,
        store=store,
        folds=tuned.folds,
        reference=None if config.reference is None else Path(config.reference),
        out=tuned.folder / GATE,
        device=config.device,
        progress=report_progress,
        cancelled=cancelled,
    )
    return FinetuneResult(parent, tuned, install_candidate(tuned.folder), report)


def add_graph(folder: Path) -> None:
    """Add a graph to a model, for running it without PyTorch; not every network can have one."""
    try:
        write_graph(folder)
    except Exception as error:  # the model works without it
        _LOG.info("the candidate has no graph: %r", error)


def check_readiness(config: FinetuneConfig) -> dict[str, Any]:
    """Return whether there are enough corrections, and which cannot be used, as JSON for viewers.

    Raises a `FlomoError` if the model or the store does not exist.
    """
    skipped: list[str] = []
    store = CorrectionStore.open(Path(config.store))
    corrected = gather(store, load_card(config.base), skipped)
    found = asdict(readiness(corrected, read_settings(config.settings)))
    return found | {"skipped": skipped, "corrections": corrected.batch_hash}
