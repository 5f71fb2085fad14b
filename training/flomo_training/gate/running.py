"""Run the gate: both models on everything that neither has seen, then rules, report, card."""

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

from flomo_training.evaluate import data_name
from flomo_training.gate import leaks, pictures, report, verdict
from flomo_training.gate.cases import HeldOut, JudgedImage
from flomo_training.gate.corrected import StoreContent, look_into, read_held_out
from flomo_training.gate.figures import Part, summarise
from flomo_training.gate.measuring import Judged, judge
from flomo_training.gate.reference import find_reference, read_reference, reference_hash
from flomo_training.gate.report import GateReport, ImageChange, ModelFacts
from flomo_training.gate.rules import Rules
from napari_flomo import __version__
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write_all, check_writable
from napari_flomo.models import ModelCard, load_card, locate
from napari_flomo.models.card import card_text
from napari_flomo.models.promotion import parent_of
from napari_flomo.models.shelf import CARD_FILE
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
    reference: Path | None = None,
    rules: Rules | None = None,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GateReport:
    """Compare a candidate with its parent and decide whether it may take its place.

    Writes ``report.json``, ``report.md`` and pictures of the images that changed most, and the
    verdict into the candidate's card: all of them or nothing.

    Parameters
    ----------
    parent, candidate
        Names or folders of models; the card of the candidate names the parent.
    out
        Folder for the report; made when missing.
    store
        Corrections: what was kept out of training, and what must not be in the reference set.
    held_out
        Slices of the store that were kept out of the candidate's training.
    reference
        Prepared data of the base task, see `flomo_training.gate.reference.read_reference`; by
        default what is packed with the parent, or with the model that it descends from.
    rules
        The margins; see `Rules` for the defaults.
    device
        ``"auto"`` takes the GPU if there is one.
    progress
        Called with the slices done and in total.
    cancelled
        Asked before every few slices.

    Returns
    -------
    GateReport
        As written.

    Raises
    ------
    FlomoError
        If a model, the store or the reference set is not as it should be.
    Cancelled
        If ``cancelled`` said so; nothing was written.
    """
    rules = Rules() if rules is None else rules
    tell = _Teller(progress, cancelled)
    before, after = locate(parent), locate(candidate)
    cards = load_card(before), load_card(after)
    check_pair(*cards)
    if held_out and store is None:
        raise FlomoError("Held-out corrections lie in a store; give its folder with --store.")
    folder = find_reference(before) if reference is None else reference
    check_writable(_made(out) / report.REPORT_FILE)
    images, corrected = _to_judge(cards, folder, store, held_out, tell)
    tell.start(2 * sum(len(image.slices) for image in (*images, *corrected)))
    models = (Segmenter.from_pretrained(before, device), Segmenter.from_pretrained(after, device))
    if any(model.card.sha256 != card.sha256 for model, card in zip(models, cards, strict=True)):
        raise FlomoError("A model was replaced just now; run the gate again.")
    exhibits: dict[str, pictures.Exhibit] = {}
    judged: dict[str, list[Judged]] = {"reference": [], "corrections": []}
    for part, those in (("reference", images), ("corrections", corrected)):
        for image in those:
            found, seen = judge(image, *models, step=tell.step, cancelled=cancelled)
            judged[part].append(found)
            if shown := pictures.exhibit(found, seen):
                exhibits[image.name] = shown
    names = [label.name for label in cards[0].labels[1:]]
    parts: dict[str, Part | None] = {"reference": None, "corrections": None}
    if folder is not None and judged["reference"]:
        data = data_name(folder), reference_hash(folder)
        parts["reference"] = summarise(judged["reference"], names, *data)
    if store is not None and judged["corrections"]:
        data = "corrections", _hash_of(CorrectionStore.open(store), held_out)
        parts["corrections"] = summarise(judged["corrections"], names, *data)
    checks = verdict.checks(parts["reference"], parts["corrections"], rules)
    worst = sorted(exhibits.items(), key=lambda item: -item[1].change)[: pictures.AT_MOST]
    files = {name: PICTURE.format(index) for index, (name, _) in enumerate(worst, start=1)}
    result = GateReport(
        verdict=verdict.verdict_of(checks),
        checks=checks,
        parent=ModelFacts(cards[0].name, cards[0].sha256),
        candidate=ModelFacts(cards[1].name, cards[1].sha256),
        reference=parts["reference"],
        corrections=parts["corrections"],
        images=tuple(_change(part, one, files) for part, those in judged.items() for one in those),
        left_out=tuple(tell.sentences),
        rules=rules,
        device=str(models[0].device),
        versions=_versions(),
        date=datetime.now(UTC).date().isoformat(),
    )
    drawings = {files[name]: shown for name, shown in worst}
    _write(result, out, after, drawings, tell)
    return result


def check_pair(parent: ModelCard, candidate: ModelCard) -> None:
    """Raise unless a candidate was tuned from a parent and finds the same structures.

    Raises
    ------
    FlomoError
        Saying what differs.
    """
    name, sha256 = parent_of(candidate)
    if sha256 != parent.sha256:
        said = f"from other weights of {name}" if name == parent.name else f"from {name}"
        raise FlomoError(
            f"{candidate.name} was tuned {said if name else 'from no other model'}, so it cannot "
            f"be compared with {parent.name}; give its parent."
        )
    if candidate.sha256 == parent.sha256:
        raise FlomoError(f"{candidate.name} has the very weights of its parent.")
    one, other = ([(label.code, label.name) for label in c.labels] for c in (parent, candidate))
    if one != other:
        raise FlomoError(
            f"{candidate.name} and {parent.name} find different structures, so nothing can be "
            "compared; keep the labels of the parent."
        )


@dataclass
class _Teller:
    """Keeps what has to be said, and asks whether to go on."""

    progress: ProgressCallback | None
    cancelled: Callable[[], bool] | None
    sentences: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0

    def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def say(self, message: str) -> None:
        """Report what is going on, or stop."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled
        if self.progress is not None:
            self.progress(Progress(self.done, self.total, message))

    def start(self, total: int) -> None:
        self.total = total
        self.say("Comparing")

    def step(self, slices: int) -> None:
        self.done += slices
        self.say("Comparing")


def _to_judge(
    cards: tuple[ModelCard, ModelCard],
    reference: Path | None,
    store: Path | None,
    held_out: Sequence[HeldOut],
    tell: _Teller,
) -> tuple[list[JudgedImage], list[JudgedImage]]:
    """Return the images of both parts that no model has seen."""
    tell.say("Looking for leaks")
    known = leaks.trained_on(*cards, tell)
    content = StoreContent(frozenset(), frozenset(), frozenset())
    corrected: list[JudgedImage] = []
    if store is not None:
        opened = CorrectionStore.open(store)
        content = look_into(opened, known, tell, tell.cancelled)
        corrected = read_held_out(opened, held_out, cards[0], content, tell)
    images: list[JudgedImage] = []
    if reference is not None:
        images = read_reference(
            reference, cards[0], lambda _progress: tell.say("Looking for leaks"), tell.cancelled
        )
        images = leaks.unseen(images, known, content.traces, tell)
    return images, corrected


def _change(part: str, one: Judged, files: dict[str, str]) -> ImageChange:
    before, after = (None if math.isnan(dice) else round(dice, 4) for dice in one.dice)
    name = one.image.name
    return ImageChange(part, name, len(one.image.slices), before, after, files.get(name))


def _hash_of(store: CorrectionStore, held_out: Sequence[HeldOut]) -> str:
    """Return a SHA-256 of what the held-out corrections say."""
    parts = []
    for part in held_out:
        with suppress(FlomoError):  # what cannot be read was left out, and said
            digest = store.record(part.record_id).digest
            parts.append((part.record_id, part.frame, tuple(part.slices), digest))
    return hashlib.sha256(repr(sorted(parts)).encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {"napari-flomo": __version__} | {
        package: importlib.metadata.version(package) for package in PACKAGES
    }


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The folder {folder} cannot be made: {reason}.") from error
    return folder


def _write(
    result: GateReport,
    out: Path,
    candidate: Path,
    shown: dict[str, pictures.Exhibit],
    tell: _Teller,
) -> None:
    """Write the report, its pictures and the card: all of them or none."""
    card = load_card(candidate)
    text = result.text()
    summary = report.summary(result, hashlib.sha256(text.encode()).hexdigest())
    if card.sha256 != result.candidate.sha256:
        raise FlomoError(f"{card.name} was changed while it was judged; run the gate again.")
    targets = [out / report.REPORT_FILE, out / report.PAGE_FILE, *(out / name for name in shown)]
    with atomic_write_all([*targets, candidate / CARD_FILE]) as temporaries:
        first, second, *drawn, last = temporaries
        first.write_text(text, encoding="utf-8", newline="\n")
        second.write_text(report.page(result), encoding="utf-8")
        for temporary, one in zip(drawn, shown.values(), strict=True):
            tell.say("Drawing")
            pictures.draw(one, card.labels[1:], temporary)
        last.write_text(card_text(replace(card, gate=summary)), encoding="utf-8")
    for old in out.glob(PICTURE.format("*")):
        if old.name not in shown:
            old.unlink(missing_ok=True)
