"""Uncertainty on a fold: calibrated on one half of the patients, evaluated on the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flomo_training.cases import Case
from flomo_training.uncertainty.calibration import (
    Pixels,
    TemperatureFit,
    collect_patient_pixels,
    cross_fit_temperatures,
    fit_temperature,
    fit_vector_scaling,
    halves,
    mean_nll,
)
from flomo_training.uncertainty.measurement import measure_case
from flomo_training.uncertainty.records import SliceRecord
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.segmentation import Segmenter


@dataclass(frozen=True, eq=False)
class FoldMeasurement:
    """Measurements on the cases of a fold.

    Attributes
    ----------
    before, after
        Slices with temperature 1, and with that of the other half of the patients.
    fits, whole
        Temperature used for each patient, and the one fitted on all patients for the model card.
    vector
        Likelihoods of calibration methods, see `compare_scalings`.
    """

    before: Sequence[SliceRecord]
    after: Sequence[SliceRecord]
    fits: Mapping[str, TemperatureFit]
    whole: TemperatureFit
    vector: Mapping[str, float]


def measure_fold(
    segmenter: Segmenter,
    cases: Sequence[Case],
    maps: Iterable[str],
    progress: ProgressCallback | None = None,
    *,
    mirrored: bool = False,
) -> FoldMeasurement:
    """Measure calibration and uncertainty on cases that the model was not trained on.

    The temperature of the card is ignored. Temperatures are always fitted on plain views, since the
    card has only one; ``mirrored`` views are only evaluated. Raises a `FlomoError` if files are
    damaged, or there are too few patients or pixels.
    """
    names = tuple(maps)
    pixels = collect_patient_pixels(segmenter, cases)
    fits = cross_fit_temperatures(pixels, cases, segmenter.card)
    before: list[SliceRecord] = []
    after: list[SliceRecord] = []
    for done, case in enumerate(cases, start=1):
        before += measure_case(case, at_temperature(segmenter, 1.0), mirrored=mirrored)
        calibrated = at_temperature(segmenter, fits[case.patient].temperature)
        after += measure_case(case, calibrated, names, mirrored=mirrored)
        if progress is not None:
            progress(Progress(done, len(cases)))
    whole = fit_temperature(Pixels.together(list(pixels.values())), segmenter.card)
    vector = compare_scalings(pixels, cases, segmenter)
    return FoldMeasurement(before, after, fits, whole, vector)


def at_temperature(segmenter: Segmenter, temperature: float) -> Segmenter:
    """Return a segmenter with the same network and another temperature."""
    card = replace(segmenter.card, temperature=temperature)
    return segmenter.with_card(card)


def compare_scalings(
    pixels: Mapping[str, Pixels], cases: Sequence[Case], segmenter: Segmenter
) -> dict[str, float]:
    """Return mean likelihoods on the other half, and the effect of vector scaling on labels.

    ``none``, ``temperature`` and ``vector`` are negative log-likelihoods in nats;
    ``labels_changed`` is the fraction of pixels in the band whose label vector scaling changes.
    """
    card, halved = segmenter.card, halves(cases)
    rows = []
    for fitted, used in (halved, halved[::-1]):
        learn = Pixels.together([pixels[name] for name in sorted(fitted)])
        test = Pixels.together([pixels[name] for name in sorted(used)])
        temperature = np.float32(fit_temperature(learn, card).temperature)
        factor, offset = fit_vector_scaling(learn, card)
        scaled = test.logits * factor + offset
        changed = (scaled.argmax(1) != test.logits.argmax(1)).mean()
        rows.append(
            (
                mean_nll(test, card),
                mean_nll(test, card, test.logits / temperature),
                mean_nll(test, card, scaled),
                float(changed),
            )
        )
    names = ("none", "temperature", "vector", "labels_changed")
    return dict(zip(names, (round(float(one), 4) for one in np.mean(rows, 0)), strict=True))
