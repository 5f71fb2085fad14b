"""``flomo calibrate``, and what ``flomo evaluate --uncertainty`` adds."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from flomo_training.cases import Case, list_cases
from flomo_training.leaks import fingerprint
from flomo_training.uncertainty.band import BAND_MM
from flomo_training.uncertainty.calibration import (
    Pixels,
    TemperatureFit,
    collect_cases,
    fit_temperature,
)
from flomo_training.uncertainty.report import as_text, write_uncertainty
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.models import ModelCard, load_card, locate
from napari_flomo.models.card import card_text
from napari_flomo.models.shelf import CARD_FILE
from napari_flomo.progress import progress_bar
from napari_flomo.segmentation import Segmenter

_SENTENCE = re.compile(r"\s*Temperature fitted [^.]*\.")


def run_calibration(args: argparse.Namespace) -> int:
    """Serve ``flomo calibrate``."""
    from flomo_training.evaluate import data_name

    folder, source = locate(args.model), Path(args.data)
    segmenter = Segmenter.from_pretrained(folder)
    cases = list_cases(source, args.fold, args.split)
    check_unseen(cases, segmenter.card)
    fit = fit_temperature(
        Pixels.together(list(collect_cases(segmenter, cases).values())), segmenter.card
    )
    patients = len({case.patient for case in cases})
    where = f"{patients} patients of {data_name(source)}, fold {args.fold}, {args.split}"
    if not args.dry_run:
        store_temperature(folder, fit, where)
    found = vars(fit) | {"patients": patients, "stored": not args.dry_run}
    print(json.dumps(found, indent=2) if args.json else _sentence(fit, stored=not args.dry_run))
    return 0


def run_uncertainty(
    folder: Path,
    segmenter: Segmenter,
    cases: list[Case],
    facts: dict[str, Any],
    *,
    mirrored: bool = False,
) -> str:
    """Write the report on uncertainty and return it in words."""
    check_unseen(cases, segmenter.card)
    with progress_bar("volume") as progress:
        report = write_uncertainty(
            folder, segmenter, cases, facts, progress=progress, mirrored=mirrored
        )
    return as_text(report)


def check_unseen(cases: list[Case], card: ModelCard) -> None:
    """Raise if the model was trained on one of the cases: there it is surer than it should be.

    Raises
    ------
    FlomoError
        If it was.
    """
    seen = set(card.trained_on or ())
    known = [case.name for case in cases if fingerprint(case.image) in seen]
    if known:
        raise FlomoError(
            f"{card.name} was trained on {known[0]}"
            + (f" and {len(known) - 1} more of these cases" if len(known) > 1 else "")
            + ", so they cannot tell how sure it should be; give cases that it never saw."
        )


def store_temperature(folder: Path, fit: TemperatureFit, where: str) -> ModelCard:
    """Write a fitted temperature into the card of a model; its weights stay as they are.

    Parameters
    ----------
    folder
        The model folder.
    fit
        From `fit_temperature`.
    where
        On what it was fitted, for the card's protocol; without a full stop.
    """
    card = load_card(folder)
    said = f"Temperature fitted by likelihood within {BAND_MM:g} mm of the contours on {where}."
    protocol = f"{_SENTENCE.sub('', card.protocol)} {said}".strip()
    card = replace(card, temperature=fit.temperature, protocol=protocol)
    with atomic_write(folder / CARD_FILE) as temporary:
        temporary.write_text(card_text(card), encoding="utf-8")
    return card


def _sentence(fit: TemperatureFit, *, stored: bool) -> str:
    return (
        f"Temperature {fit.temperature:g}: negative log-likelihood {fit.nll_before:.4f} before, "
        f"{fit.nll_after:.4f} after, on {fit.pixels} pixels"
        + ("; it is in the card now." if stored else "; the card was left as it is.")
    )
