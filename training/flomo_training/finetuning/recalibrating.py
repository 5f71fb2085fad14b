"""How sure a tuned model may be: its temperature, fitted on corrections kept out of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flomo_training.gate.cases import EvaluationImage, HeldOut
from flomo_training.gate.corrections import StoreIndex, read_held_out
from flomo_training.uncertainty.calibration import (
    TOO_FEW,
    Pixels,
    TemperatureFit,
    collect_pixels,
    fit_temperature,
)
from flomo_training.uncertainty.command import store_temperature
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled
from napari_flomo.segmentation import Segmenter

NOTHING_KNOWN = StoreIndex(frozenset(), frozenset(), frozenset())
"""`split` has kept what the model learnt from apart already."""


def recalibrate(
    folder: Path,
    store: CorrectionStore,
    held_out: Sequence[HeldOut],
    device: str = "auto",
    cancelled: Callable[[], bool] | None = None,
) -> TemperatureFit | None:
    """Fit the temperature of a candidate anew and write it into its card.

    Only what a reader drew counts: a structure that was left alone is the parent's own contour, of
    which a model like the parent could be as sure as it liked.

    Parameters
    ----------
    folder
        Of the candidate; its weights stay as they are.
    store
        That holds the corrections.
    held_out
        Slices that were kept out of training.
    device
        As for `Segmenter`.
    cancelled
        Asked before each image.

    Returns
    -------
    TemperatureFit or None
        None where too few pixels were drawn to learn from: the parent's temperature stays.

    Raises
    ------
    Cancelled
        If ``cancelled`` said so.
    """
    segmenter = Segmenter.from_pretrained(folder, device)
    images = read_held_out(store, held_out, segmenter.card, NOTHING_KNOWN, lambda _: None)
    parts = []
    for image in images:
        if cancelled is not None and cancelled():
            raise Cancelled
        parts.append(drawn_pixels(segmenter, image))
    if sum(len(part.classes) for part in parts) < TOO_FEW:
        return None
    fit = fit_temperature(Pixels.together(parts), segmenter.card)
    slices = sum(len(image.slices) for image in images)
    store_temperature(folder, fit, f"{slices} corrected slices that were kept out of training")
    return fit


def drawn_pixels(segmenter: Segmenter, image: EvaluationImage) -> Pixels:
    """Return the pixels along contours where neither truth nor network has an undrawn structure."""
    volume, labels = image.load()
    pixels = collect_pixels(segmenter, volume, labels.data, image.slices, image.name)
    card = segmenter.card
    drawn = {0, *(image.codes if image.drawn is None else image.drawn)}
    code_of_class = np.array([label.code for label in card.labels])
    code_of_channel = np.array([label.code for label in card.classes])
    winner = code_of_channel[pixels.logits.argmax(1)]
    kept = np.isin(code_of_class[pixels.classes], list(drawn)) & np.isin(winner, list(drawn))
    return Pixels(pixels.logits[kept], pixels.classes[kept])
