"""``flomo calibrate`` and ``flomo evaluate --uncertainty``."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from flomo_training.cases import Case, list_cases
from flomo_training.export import update_card
from flomo_training.leaks import fingerprint
from flomo_training.preparation import data_name
from flomo_training.uncertainty.band import BAND_MM
from flomo_training.uncertainty.calibration import (
    Pixels,
    TemperatureFit,
    collect_patient_pixels,
    fit_temperature,
)
from flomo_training.uncertainty.report import as_text, write_uncertainty
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, load_card, locate
from napari_flomo.progress import progress_bar
from napari_flomo.segmentation import Segmenter

_SENTENCE = re.compile(r"\s*Temperature fitted [^.]*\.")


def run_calibration(args: argparse.Namespace) -> int:
    """Run ``flomo calibrate``."""
    folder, source = locate(args.model), Path(args.data)
    segmenter = Segmenter.from_pretrained(folder)
    cases = list_cases(source, args.fold, args.split)
    check_unseen(cases, segmenter.card)
    fit = fit_temperature(
        Pixels.together(list(collect_patient_pixels(segmenter, cases).values())), segmenter.card
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
    """Write the report on uncertainty and return a summary as text."""
    check_unseen(cases, segmenter.card)
    with progress_bar("volume") as progress:
        return as_text(
            write_uncertainty(folder, segmenter, cases, facts, progress=progress, mirrored=mirrored)
        )


def check_unseen(cases: list[Case], card: ModelCard) -> None:
    """Raise a `FlomoError` if the model was trained on a case, where it would be overconfident."""
    seen = set(card.trained_on or ())
    known = [case.name for case in cases if fingerprint(case.image) in seen]
    if known:
        raise FlomoError(
            f"{card.name} was trained on {known[0]}"
            + (f" and {len(known) - 1} more of these cases" if len(known) > 1 else "")
            + ", so it cannot be calibrated with them; give cases that it was not trained on."
        )


def store_temperature(folder: Path, fit: TemperatureFit, where: str) -> ModelCard:
    """Store a fitted temperature in the card of a model folder.

    ``where`` describes the data for the card's protocol, without a full stop.
    """
    card = load_card(folder)
    sentence = f"Temperature fitted by likelihood within {BAND_MM:g} mm of the contours on {where}."
    protocol = f"{_SENTENCE.sub('', card.protocol)} {sentence}".strip()
    return update_card(folder, temperature=fit.temperature, protocol=protocol)


def _sentence(fit: TemperatureFit, *, stored: bool) -> str:
    return (
        f"Temperature {fit.temperature:g}: negative log-likelihood {fit.nll_before:.4f} before, "
        f"{fit.nll_after:.4f} after, on {fit.pixels} pixels"
        + ("; stored in the model card." if stored else "; the model card was not changed.")
    )
