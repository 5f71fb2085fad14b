"""Uncertainty measured on a fold: calibrated on one half of the patients, judged on the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flomo_training.cases import Case
from flomo_training.uncertainty.calibration import (
    Pixels,
    TemperatureFit,
    collect_cases,
    cross_fit,
    fit_temperature,
    fit_vector_scaling,
    halves,
    mean_nll,
)
from flomo_training.uncertainty.measuring import measure_case
from flomo_training.uncertainty.records import SliceRecord
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.segmentation import Segmenter


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on the cases of a fold.

    Attributes
    ----------
    before, after
        Slices with the temperature 1, and with the one of the other half of the patients.
    fits
        By patient, the temperature that was used.
    whole
        The temperature of all patients together, which belongs into the card.
    vector
        Likelihoods of other ways to calibrate, see `compare_scalings`.
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
) -> Measured:
    """Measure calibration and uncertainty on cases that the model never saw.

    Parameters
    ----------
    segmenter
        The model; the temperature of its card is left aside.
    cases
        Of at least two patients.
    maps
        Which maps to judge.
    progress
        Called with the cases done and in total.
    mirrored
        Whether uncertainty is judged with mirrored views. Temperatures are fitted on plain ones all
        the same: they belong to the network, and the card has one.

    Raises
    ------
    FlomoError
        If files are broken, or there are too few patients or pixels.
    """
    names = tuple(maps)
    pixels = collect_cases(segmenter, cases)
    fits = cross_fit(pixels, cases, segmenter.card)
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
    return Measured(before, after, fits, whole, vector)


def at_temperature(segmenter: Segmenter, temperature: float, engine: str = "eager") -> Segmenter:
    """Return the same network behind a card with another temperature."""
    card = replace(segmenter.card, temperature=temperature)
    return Segmenter(segmenter.network, card, segmenter.device, engine)


def compare_scalings(
    pixels: Mapping[str, Pixels], cases: Sequence[Case], segmenter: Segmenter
) -> dict[str, float]:
    """Return mean likelihoods of the half that was not fitted on, and what labels it costs.

    ``none``, ``temperature`` and ``vector`` are negative log-likelihoods in nats;
    ``labels_changed`` is the share of the band's pixels that vector scaling gives another label.
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
