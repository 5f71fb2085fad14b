"""Run the gate: compare both models on unseen images, apply the rules, write report and card."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from flomo_training.gate import exclusion, plots, report
from flomo_training.gate.cases import EvaluationImage, Fold, HeldOut
from flomo_training.gate.checks import decide, run_checks
from flomo_training.gate.comparison import ImageComparison, compare_models
from flomo_training.gate.corrections import StoreIndex, index_store, read_held_out
from flomo_training.gate.reference import find_reference, read_reference, reference_hash
from flomo_training.gate.report import GateReport, ImageChange, ModelFacts
from flomo_training.gate.rules import Rules
from flomo_training.gate.statistics import DataSetResult, summarise
from flomo_training.preparation import data_name
from napari_flomo import __version__
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled, FlomoError, reason_of
from napari_flomo.files import atomic_write_all, check_writable
from napari_flomo.models import CARD_FILE, ModelCard, card_text, load_card, locate, parent_of
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.segmentation import Segmenter

PACKAGES = ("torch", "numpy", "scipy", "monai")
PICTURE = "changed-{}.png"


def run_gate(
    *,
    parent: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    out: Path,
    store: Path | None = None,
    held_out: Sequence[HeldOut] = (),
    folds: Sequence[Fold] = (),
    reference: Path | None = None,
    rules: Rules | None = None,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GateReport:
    """Compare a candidate with its parent and decide whether it may replace it.

    Writes ``report.json``, ``report.md``, pictures of the images that changed most, and the verdict
    in the candidate's card: all of them or none.

    Parameters
    ----------
    parent, candidate
        Names or folders of models; the card of the candidate names the parent.
    out
        Folder for the report; created if missing.
    store
        Store of corrections: the held-out ones, and those that must not be in the reference set.
    held_out
        Slices of the store that were held out of the candidate's training.
    folds
        Of the cross-validation that the candidate is the result of. On the held-out slices of a
        fold its model stands for the candidate.
    reference
        Prepared data of the base task, see `flomo_training.gate.reference.read_reference`; by
        default the reference set of the parent, or of the model that it descends from.
    rules
        Margins; see `Rules` for the defaults.
    device
        ``"auto"`` uses the GPU if there is one.
    progress
        Called with the slices done and in total.
    cancelled
        Checked every few slices.

    Returns
    -------
    GateReport
        As written.

    Raises
    ------
    FlomoError
        If a model, the store or the reference set cannot be used.
    Cancelled
        If ``cancelled`` returned True; nothing was written.
    """
    rules = Rules() if rules is None else rules
    log = _Log(progress, cancelled)
    folders = locate(parent), locate(candidate)
    cards = load_card(folders[0]), load_card(folders[1])
    check_pair(*cards)
    judged = [Fold(folders[1], tuple(held_out)), *folds] if held_out else list(folds)
    if judged and store is None:
        raise FlomoError("Held-out corrections need their store; give its folder with --store.")
    reference = find_reference(folders[0]) if reference is None else reference
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlomoError(
            f"The folder {out} cannot be created: {reason_of(error)}; choose another one."
        ) from error
    check_writable(out / report.REPORT_FILE)
    images = _select_images(cards, reference, store, judged, log)
    log.start(2 * sum(len(image.slices) for *_, those in images for image in those))
    before = _segmenter(folders[0], cards[0], device)
    changes: dict[str, plots.ChangedSlice] = {}
    compared: dict[str, list[ImageComparison]] = {"reference": [], "corrections": []}
    for part, model, those in images:
        folder, card = (model, load_card(model)) if model else (folders[1], cards[1])
        after = _segmenter(folder, card, device)
        for image in those:
            comparison, labels = compare_models(image, before, after, log.step, cancelled)
            compared[part].append(comparison)
            if change := plots.most_changed_slice(comparison, labels):
                changes[image.name] = change
    names = [label.name for label in cards[0].labels[1:]]
    results: dict[str, DataSetResult | None] = {"reference": None, "corrections": None}
    if reference is not None and compared["reference"]:
        data = data_name(reference), reference_hash(reference)
        results["reference"] = summarise(compared["reference"], names, *data)
    if store is not None and compared["corrections"]:
        slices = [one for fold in judged for one in fold.held_out]
        data = "corrections", _held_out_hash(CorrectionStore.open(store), slices)
        results["corrections"] = summarise(compared["corrections"], names, *data)
    checks = run_checks(results["reference"], results["corrections"], rules)
    largest = sorted(changes.items(), key=lambda item: -item[1].change)[: plots.MOST_PICTURES]
    files = {name: PICTURE.format(index) for index, (name, _) in enumerate(largest, start=1)}
    result = GateReport(
        verdict=decide(checks),
        checks=checks,
        parent=ModelFacts(cards[0].name, cards[0].sha256),
        candidate=ModelFacts(cards[1].name, cards[1].sha256),
        reference=results["reference"],
        corrections=results["corrections"],
        images=tuple(_change(p, one, files) for p, those in compared.items() for one in those),
        left_out=tuple(log.sentences),
        rules=rules,
        device=before.device,
        versions=_versions(),
        date=datetime.now(UTC).date().isoformat(),
    )
    _write(result, out, folders[1], {files[name]: change for name, change in largest}, log)
    return result


def check_pair(parent: ModelCard, candidate: ModelCard) -> None:
    """Check that a candidate was tuned from a parent and segments the same structures.

    Raises a `FlomoError` that names the difference otherwise.
    """
    name, sha256 = parent_of(candidate)
    if sha256 != parent.sha256:
        origin = f"from other weights of {name}" if name == parent.name else f"from {name}"
        raise FlomoError(
            f"{candidate.name} was tuned {origin if name else 'from no other model'}, so it cannot "
            f"be compared with {parent.name}; give its parent."
        )
    if candidate.sha256 == parent.sha256:
        raise FlomoError(f"{candidate.name} has the same weights as its parent.")
    one, other = ([(label.code, label.name) for label in c.labels] for c in (parent, candidate))
    if one != other:
        raise FlomoError(
            f"{candidate.name} and {parent.name} segment different structures and cannot be "
            "compared; keep the labels of the parent."
        )


@dataclass
class _Log:
    """Collects sentences for the report, reports progress and checks for cancellation."""

    progress: ProgressCallback | None
    cancelled: Callable[[], bool] | None
    sentences: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0

    def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def report(self, message: str) -> None:
        if self.cancelled is not None and self.cancelled():
            raise Cancelled
        if self.progress is not None:
            self.progress(Progress(self.done, self.total, message))

    def start(self, total: int) -> None:
        self.total = total
        self.report("Comparing")

    def step(self, slices: int) -> None:
        self.done += slices
        self.report("Comparing")


def _segmenter(folder: Path, card: ModelCard, device: str) -> Segmenter:
    """Load a model; raise if it was replaced since its card was read."""
    segmenter = Segmenter.from_pretrained(folder, device)
    if segmenter.card.sha256 != card.sha256:
        raise FlomoError("A model was replaced during the gate; run the gate again.")
    return segmenter


def _select_images(
    cards: tuple[ModelCard, ModelCard],
    reference: Path | None,
    store: Path | None,
    folds: Sequence[Fold],
    log: _Log,
) -> list[tuple[str, Path | None, list[EvaluationImage]]]:
    """Return the images of each part of the report that no model has seen, and their model.

    The parts are the reference set, with the candidate (None), and the corrections of each fold.
    """
    log.report("Looking for leaks")
    seen = exclusion.seen_fingerprints(*cards, log)
    index = StoreIndex()
    images: list[tuple[str, Path | None, list[EvaluationImage]]] = []
    if store is not None:
        opened = CorrectionStore.open(store)
        index = index_store(opened, log, log.cancelled)
        for fold in folds:
            both = (cards[0], load_card(fold.model))
            trained = index.seen_by(one for card in both for one in card.trained_on or ())
            found = read_held_out(opened, fold.held_out, cards[0], trained, log)
            images.append(("corrections", fold.model, found))
    if reference is not None:
        listed = read_reference(
            reference, cards[0], lambda _progress: log.report("Looking for leaks"), log.cancelled
        )
        unseen = exclusion.exclude_seen(listed, seen, index.signatures, log)
        images.insert(0, ("reference", None, unseen))
    return images


def _change(part: str, one: ImageComparison, files: dict[str, str]) -> ImageChange:
    before, after = (None if math.isnan(dice) else round(dice, 4) for dice in one.dice)
    name = one.image.name
    return ImageChange(part, name, len(one.image.slices), before, after, files.get(name))


def _held_out_hash(store: CorrectionStore, held_out: Sequence[HeldOut]) -> str:
    """Return a SHA-256 of the content of the held-out corrections."""
    parts = []
    for part in held_out:
        with suppress(FlomoError):  # unreadable corrections were left out
            digest = store.record(part.record_id).digest
            parts.append((part.record_id, part.frame, tuple(part.slices), digest))
    return hashlib.sha256(repr(sorted(parts)).encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {"napari-flomo": __version__} | {
        package: importlib.metadata.version(package) for package in PACKAGES
    }


def _write(
    result: GateReport,
    out: Path,
    candidate: Path,
    changes: dict[str, plots.ChangedSlice],
    log: _Log,
) -> None:
    """Write the report, its pictures and the card: all of them or none."""
    card = load_card(candidate)
    text = result.text()
    summary = report.summary(result, hashlib.sha256(text.encode()).hexdigest())
    if card.sha256 != result.candidate.sha256:
        raise FlomoError(f"{card.name} was changed during the gate; run the gate again.")
    targets = [out / report.REPORT_FILE, out / report.PAGE_FILE, *(out / name for name in changes)]
    with atomic_write_all([*targets, candidate / CARD_FILE]) as temporaries:
        json_file, page_file, *pictures, card_file = temporaries
        json_file.write_text(text, encoding="utf-8", newline="\n")
        page_file.write_text(report.page(result), encoding="utf-8")
        for picture, change in zip(pictures, changes.values(), strict=True):
            log.report("Drawing")
            plots.draw(change, card.labels[1:], picture)
        card_file.write_text(card_text(replace(card, gate=summary)), encoding="utf-8")
    for old in out.glob(PICTURE.format("*")):
        if old.name not in changes:
            old.unlink(missing_ok=True)
