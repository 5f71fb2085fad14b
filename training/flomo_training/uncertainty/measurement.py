"""Measure uncertainty and errors of each slice of a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flomo_training.cases import Case, read_case
from flomo_training.label_mapping import codes_to_classes
from flomo_training.uncertainty.band import foreground_band
from flomo_training.uncertainty.error_recall import anatomical_score
from flomo_training.uncertainty.ranking import Ranking
from flomo_training.uncertainty.records import SliceRecord, StructureRecord
from flomo_training.uncertainty.reliability import Reliability
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import (
    DEFAULT_MAPS,
    PLAUSIBLE,
    Scores,
    Segmentation,
    Segmenter,
    intensity_window,
    label_confidence,
    structure_probability,
    with_channels,
)
from napari_flomo.volumes import Geometry, Volume

SCORES = {
    "entropy_area": "entropy summed over the plausible pixels, cm²",
    "boundary": "width of the band of uncertainty along the contours, mm",
    "expected_error": "expected volume with a wrong label, ml",
    "expected_voxels": "expected number of wrong voxels",
    "expected_dice": "one minus the smallest expected Dice of a structure",
    "mean_entropy": "mean entropy of the plausible pixels",
}
"""Scores for the order of review that need a single pass of the network."""

SUMMED = ("tta_entropy", "mutual_information", "variance", "mc_entropy", "mc_mutual_information",
          "mc_variance", "network_entropy", "network_cosine", "network_correction",
          "network_distrust")  # fmt: skip
"""Maps whose sum over the plausible pixels is a score as well, if the map is computed."""

BASELINE_ORDERS = {
    "anatomical": "base and apex first, then towards the middle",
    "largest_first": "by the labelled area, to separate the effects of uncertainty and size",
}
"""Orders of review that do not use uncertainty."""


def measure_case(
    case: Case,
    segmenter: Segmenter,
    maps: Iterable[str] = DEFAULT_MAPS,
    *,
    mirrored: bool = False,
) -> list[SliceRecord]:
    """Segment a case of one frame and compare uncertainty and errors, slice by slice.

    ``maps`` are evaluated besides entropy. With ``mirrored``, probabilities are the mean over
    mirrored views. Raises a `FlomoError` if a file is damaged, or the reference contains codes that
    are not in the card.
    """
    volume, reference = read_case(case)
    return measure_volume(case, volume, reference, segmenter, maps=maps, mirrored=mirrored)


def measure_volume(
    case: Case,
    volume: Volume,
    reference: Volume,
    segmenter: Segmenter,
    *,
    maps: Iterable[str] = DEFAULT_MAPS,
    slices: Sequence[int] | None = None,
    mirrored: bool = False,
) -> list[SliceRecord]:
    """Measure an image in memory; arguments as for `measure_case`, ``case`` identifies it."""
    card = segmenter.card
    classes = codes_to_classes(reference.data, card, case.name)
    names = list(dict.fromkeys([*maps, "entropy"]))
    result = segmenter.segment(
        volume, slices=slices, keep_probabilities=True, maps=names, mirrored=mirrored
    )
    pixels = with_channels(volume.frame(0), card)
    low, high = intensity_window(pixels, card.preprocessing.intensity)
    grey = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)
    grey = grey.mean(-1) if grey.ndim == 4 else grey
    band = foreground_band(result.labels.data, reference.data, volume.in_plane_spacing)
    chosen = range(volume.n_slices) if slices is None else slices
    return [
        _record(case, index, result, classes=classes, grey=grey, band=band[index])
        for index in chosen
    ]


def _record(
    case: Case,
    index: int,
    result: Segmentation,
    *,
    classes: NDArray[np.uint8],
    grey: NDArray[np.floating],
    band: NDArray[np.bool_],
) -> SliceRecord:
    card, scores = result.card, result.scores
    assert result.probabilities is not None
    assert scores is not None
    truth = classes[index]
    probabilities = np.ascontiguousarray(result.probabilities.data[:, index])
    confidence = label_confidence(probabilities[None], card)[0]
    raw = _class_of(probabilities, card)
    codes = np.array([label.code for label in card.labels], np.uint8)
    wrong = result.labels.data[index] != codes[truth]
    brier = _squared_distance(probabilities, truth, card)
    plausible = structure_probability(probabilities[None], card)[0] >= PLAUSIBLE
    maps = {name: one.data[index] for name, one in result.uncertainty.items()}
    geometry = result.labels.geometry
    area = geometry.spacing[0] * geometry.spacing[1]
    return SliceRecord(
        case=case.name,
        patient=case.patient,
        phase=case.phase,
        index=index,
        slices=len(classes),
        wrong=int(wrong.sum()),
        voxel_ml=area * geometry.spacing[2] / 1000 if geometry.spacing_known else float("nan"),
        contrast=_contrast(grey[index], truth, band),
        size_mm2=float((truth > 0).sum() * area),
        scores=_candidates(scores, index, maps, plausible, geometry)
        | {
            "anatomical": anatomical_score(index, len(classes)),
            "largest_first": float((result.labels.data[index] > 0).sum() * area),
        },
        expected_error_ml=float(scores.expected_error_ml[0, index]),
        everywhere=Reliability.of(confidence.ravel(), (raw == truth).ravel(), brier.sum()),
        near=Reliability.of(confidence[band], (raw == truth)[band], brier[band].sum()),
        maps={name: Ranking.of(one[band], wrong[band]) for name, one in maps.items()},
        structures=_structures(result, index, truth, probabilities),
    )


def _class_of(probabilities: NDArray[np.float32], card: ModelCard) -> NDArray[np.uint8]:
    """Return the predicted class index before postprocessing."""
    winner = probabilities.argmax(0).astype(np.uint8)
    if card.activation == "softmax":
        return winner
    return np.where(probabilities.max(0) >= card.threshold, winner + 1, 0).astype(np.uint8)


def _squared_distance(
    probabilities: NDArray[np.float32], truth: NDArray[np.uint8], card: ModelCard
) -> NDArray[np.float64]:
    """Return the squared distance of the probabilities from the truth, pixel by pixel."""
    offset = len(card.labels) - len(probabilities)
    total = np.zeros(truth.shape)
    for channel, one in enumerate(probabilities):
        total += (one - (truth == channel + offset)) ** 2
    return total


def _contrast(
    grey: NDArray[np.floating], truth: NDArray[np.uint8], band: NDArray[np.bool_]
) -> float:
    """Return the largest difference between the mean intensities of two classes in the band."""
    present = list(np.unique(truth[band]))
    if not present or max(present) == 0:
        return float("nan")
    means = [float(grey[band & (truth == one)].mean()) for one in present]
    return max(means) - min(means)


def _candidates(
    scores: Scores,
    index: int,
    maps: Mapping[str, NDArray[np.float32]],
    plausible: NDArray[np.bool_],
    geometry: Geometry,
) -> dict[str, float]:
    area = geometry.spacing[0] * geometry.spacing[1]
    dice = float(scores.least_expected_dice()[0, index])
    entropy = maps["entropy"][plausible].astype(np.float64)
    found = {
        "entropy_area": float(scores.uncertainty_cm2[0, index]),
        "boundary": float(scores.uncertainty_mm[0, index]),
        "expected_error": float(scores.expected_error_ml[0, index]),
        "expected_voxels": float(scores.expected_voxels(geometry)[0, index]),
        "expected_dice": 0.0 if np.isnan(dice) else 1 - dice,
        "mean_entropy": float(entropy.mean()) if entropy.size else 0.0,
    }
    summed = {name: float(maps[name][plausible].sum() * area) for name in SUMMED if name in maps}
    return found | summed


def _structures(
    result: Segmentation,
    index: int,
    truth: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
) -> tuple[StructureRecord, ...]:
    card, scores = result.card, result.scores
    assert scores is not None
    labels = result.labels.data[index]
    offset = len(card.labels) - len(probabilities)
    records = []
    for number, label in enumerate(card.labels[1:], start=1):
        found, there = labels == label.code, truth == number
        one = probabilities[number - offset]
        records.append(
            StructureRecord(
                name=label.name,
                found=int(found.sum()),
                truth=int(there.sum()),
                both=int((found & there).sum()),
                inside=float(one[found].sum(dtype=np.float64)),
                whole=float(one[found | (one >= PLAUSIBLE)].sum(dtype=np.float64)),
                uncertainty_mm=float(scores.structure_uncertainty_mm[number - 1, 0, index]),
            )
        )
    return tuple(records)
