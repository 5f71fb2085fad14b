"""From corrections to a judged candidate: fine-tune, ask the gate, put it on the shelf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flomo_training.finetuning.gathering import gather
from flomo_training.finetuning.recalibrating import recalibrate
from flomo_training.finetuning.settings import Settings, read_settings
from flomo_training.finetuning.splitting import readiness
from flomo_training.finetuning.tuning import Tuned, finetune
from flomo_training.gate import GateReport, run_gate
from napari_flomo.corrections import CorrectionStore
from napari_flomo.models import install_candidate, load_card
from napari_flomo.progress import Progress, ProgressCallback, no_progress

GATE = "gate"
"""Folder of the gate's report in the folder of a candidate."""


@dataclass(frozen=True)
class Learnt:
    """A candidate, and what the gate says of it.

    Attributes
    ----------
    candidate
        Its name on the shelf of tuned models, where it waits to be promoted.
    tuned
        The training.
    gate
        The gate's report.
    """

    candidate: str
    tuned: Tuned
    gate: GateReport

    def as_dict(self) -> dict[str, Any]:
        """Return all of it that fits into JSON, for viewers and scripts."""
        lineage: Mapping[str, Any] = self.tuned.card.lineage or {}
        return {
            "candidate": self.candidate,
            "folder": str(self.tuned.folder),
            "parent": self.gate.parent.name,
            "gate": {
                "verdict": self.gate.verdict,
                "passed": self.gate.passed,
                "reasons": list(self.gate.reasons),
                "report": str(self.tuned.folder / GATE / "report.json"),
                "pictures": list(self.gate.pictures),
                "left_out": list(self.gate.left_out),
            },
            "corrections": lineage.get("corrections"),
            "held_out": [asdict(one) for one in self.tuned.held_out],
            "held_out_dice": lineage.get("held_out_dice"),
            "curves": str(self.tuned.curves),
            "seconds": self.tuned.seconds,
            "skipped": list(self.tuned.skipped),
        }


def learn(
    base: str | Path,
    store: Path,
    out: Path,
    *,
    replay: Path | None = None,
    reference: Path | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
    resume: bool = False,
) -> Learnt:
    """Fine-tune a model, compare it with its parent, and put it on the shelf as a candidate.

    On the way its probabilities are calibrated anew, see `recalibrate`.

    Parameters
    ----------
    reference
        Held-out data of the base task for the gate; by default what comes with the base.
    base, store, out, replay, settings, device, progress, cancelled, resume
        As of `finetune`.

    Raises
    ------
    Cancelled
        If ``cancelled`` said so.
    FlomoError
        As `finetune` and `run_gate`.
    """
    tuned = finetune(
        base,
        store,
        out,
        replay=replay,
        settings=settings,
        device=device,
        progress=progress,
        cancelled=cancelled,
        resume=resume,
    )

    tell = progress or no_progress
    tell(Progress(message="Calibrating"))
    recalibrate(tuned.folder, CorrectionStore.open(store), tuned.held_out, device, cancelled)
    tuned = replace(tuned, card=load_card(tuned.folder))

    report = run_gate(
        parent=base,
        candidate=tuned.folder,
        store=store,
        held_out=tuned.held_out,
        reference=reference,
        out=tuned.folder / GATE,
        device=device,
        progress=tell,
        cancelled=cancelled,
    )
    return Learnt(install_candidate(tuned.folder), tuned, report)


def look(base: str | Path, store: Path, settings: Settings | None = None) -> dict[str, Any]:
    """Tell how much there is to learn, for viewers: readiness and what cannot be used, as JSON.

    Raises
    ------
    FlomoError
        If there is no such model or store.
    """
    settings = read_settings() if settings is None else settings
    skipped: list[str] = []
    corrected = gather(CorrectionStore.open(store), load_card(base), skipped)
    found = asdict(readiness(corrected, settings))
    return found | {"skipped": skipped, "corrections": corrected.batch_hash}
