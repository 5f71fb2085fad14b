"""Temperature scaling, fitted on patients that the network was not trained on.

Source: Guo et al., ICML 2017. The temperature makes probabilities softer or sharper; it does not
change the most probable class, so the labels stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from flomo_training.cases import Case, read_case
from flomo_training.label_mapping import codes_to_classes, predict_classes
from flomo_training.uncertainty.band import foreground_band
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import (
    Reorientation,
    Segmenter,
    check_input,
    prepare,
    prepare_labels,
    with_channels,
)
from napari_flomo.volumes import Volume

RANGE = (0.05, 20.0)
"""Search range of the temperature."""

TOO_FEW = 1000
"""With fewer pixels along contours, no temperature is fitted."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Logits ``(pixels, channels)`` and true class indices in the band along the contours.

    The logits are float32, before any temperature.
    """

    logits: NDArray[np.float32]
    classes: NDArray[np.uint8]

    @classmethod
    def together(cls, parts: Sequence[Pixels]) -> Pixels:
        """Concatenate pixels."""
        return cls(
            np.concatenate([one.logits for one in parts]),
            np.concatenate([one.classes for one in parts]),
        )


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature, above 1 if the network is overconfident.

    Mean negative log-likelihoods, with temperature 1 and with this one, are in nats.
    """

    temperature: float
    nll_before: float
    nll_after: float
    pixels: int


def collect_pixels(
    segmenter: Segmenter,
    volume: Volume,
    reference: NDArray[np.integer],
    slices: Sequence[int] | None = None,
    name: str = "the image",
) -> Pixels:
    """Run the network on a volume of one frame and collect the pixels along the contours.

    Parameters
    ----------
    segmenter
        Its network is used without the card's temperature.
    volume
        The image.
    reference
        True codes ``(slices, rows, columns)``.
    slices
        Labelled slices; all by default.
    name
        Name of the image in error messages.
    """
    card = segmenter.card
    check_input(volume, card)
    chosen = list(range(volume.n_slices)) if slices is None else list(slices)
    turn = Reorientation.of(volume.geometry)
    seen = turn.volume(volume.frame(0))
    chosen, reference = turn.slices(chosen, volume.n_slices), turn.array(reference)
    spacing = seen.in_plane_spacing
    images, plan = prepare(with_channels(seen, card), spacing, card.preprocessing, chosen)
    classes = prepare_labels(codes_to_classes(reference[chosen], card, name), plan)
    logits = []
    with torch.inference_mode():
        for image in torch.from_numpy(images).split(2):
            batch = image.to(segmenter.device, memory_format=torch.channels_last)
            logits.append(segmenter.network(batch).logits.float().cpu())
    values = torch.cat(logits)
    steps = tuple(
        step * native / resampled
        for step, native, resampled in zip(spacing, plan.native, plan.resampled, strict=True)
    )
    predicted = predict_classes(values, card).numpy().astype(np.uint8)
    band = foreground_band(predicted, classes, (steps[0], steps[1]))
    return Pixels(values.movedim(1, -1).numpy()[band], classes[band])


def fit_temperature(pixels: Pixels, card: ModelCard) -> TemperatureFit:
    """Fit the temperature by maximum likelihood.

    The log-likelihood is concave in the inverse temperature, so it has a single maximum. Raises a
    `FlomoError` if there are too few pixels along contours.
    """
    if len(pixels.classes) < TOO_FEW:
        raise FlomoError(
            f"{len(pixels.classes)} pixels along contours are too few to fit a temperature; give "
            "more labelled slices."
        )
    logits, truth = torch.from_numpy(pixels.logits), _targets(pixels.classes, card)

    def nll(log_temperature: float) -> float:
        return _nll(logits / math.exp(log_temperature), truth, card)

    low, high = (math.log(end) for end in RANGE)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    temperature = round(math.exp(found.x), 4)
    return TemperatureFit(temperature, nll(0.0), nll(math.log(temperature)), len(pixels.classes))


def fit_vector_scaling(
    pixels: Pixels, card: ModelCard
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a factor and an offset for the logits of each class, for comparison.

    Vector scaling is more flexible than a temperature and can change labels; see Guo et al.
    """
    logits, truth = torch.from_numpy(pixels.logits), _targets(pixels.classes, card)
    channels = logits.shape[1]

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = torch.tensor(x, dtype=torch.float32, requires_grad=True)
        factor, offset = values[:channels], values[channels:]
        loss = _loss(logits * factor + offset, truth, card)
        loss.backward()
        assert values.grad is not None
        return float(loss.detach()), values.grad.double().numpy()

    start = np.concatenate([np.ones(channels), np.zeros(channels)])
    found = minimize(objective, start, jac=True, method="L-BFGS-B").x.astype(np.float32)
    return found[:channels], found[channels:]


def mean_nll(pixels: Pixels, card: ModelCard, scaled: NDArray[np.float32] | None = None) -> float:
    """Return the mean negative log-likelihood of pixels, of ``scaled`` logits where given."""
    logits = torch.from_numpy(pixels.logits if scaled is None else scaled)
    return _nll(logits, _targets(pixels.classes, card), card)


def halves(cases: Sequence[Case]) -> tuple[frozenset[str], frozenset[str]]:
    """Split the patients into two halves, stratified by group and deterministic."""
    group_of = {case.patient: case.group for case in cases}
    ordered = sorted(group_of, key=lambda patient: (group_of[patient], patient))
    return frozenset(ordered[::2]), frozenset(ordered[1::2])


def cross_fit_temperatures(
    pixels: Mapping[str, Pixels], cases: Sequence[Case], card: ModelCard
) -> dict[str, TemperatureFit]:
    """Return for each patient the temperature fitted on the half without this patient.

    ``pixels`` are by patient; the cases define the groups of the patients.
    """
    found: dict[str, TemperatureFit] = {}
    one, other = halves(cases)
    for fitted, used in ((one, other), (other, one)):
        if not fitted or not used:
            raise FlomoError("Calibration needs at least two patients; give more labelled cases.")
        fit = fit_temperature(Pixels.together([pixels[name] for name in sorted(fitted)]), card)
        found |= dict.fromkeys(sorted(used), fit)
    return found


def collect_patient_pixels(segmenter: Segmenter, cases: Sequence[Case]) -> dict[str, Pixels]:
    """Collect the pixels of every patient."""
    parts: dict[str, list[Pixels]] = {}
    for case in cases:
        volume, reference = read_case(case)
        found = collect_pixels(segmenter, volume, reference.data, name=case.name)
        parts.setdefault(case.patient, []).append(found)
    return {patient: Pixels.together(found) for patient, found in parts.items()}


def _targets(classes: NDArray[np.uint8], card: ModelCard) -> torch.Tensor:
    truth = torch.from_numpy(classes.astype(np.int64))
    if card.activation == "softmax":
        return truth
    return torch.nn.functional.one_hot(truth, len(card.labels))[:, 1:].float()


def _loss(logits: torch.Tensor, truth: torch.Tensor, card: ModelCard) -> torch.Tensor:
    functional = torch.nn.functional
    if card.activation == "softmax":
        return functional.cross_entropy(logits, truth)
    return functional.binary_cross_entropy_with_logits(logits, truth)


def _nll(logits: torch.Tensor, truth: torch.Tensor, card: ModelCard) -> float:
    with torch.inference_mode():
        return float(_loss(logits, truth, card))
