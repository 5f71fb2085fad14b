"""Adapt a network to one study, within seconds, from a few corrected slices of it.

The weights of the network stay as they are. A linear function of its features, at all resolutions,
is added to its logits and fitted to the corrected slices, by the cross-entropy with a ridge
penalty. Whether that helps, and whether the batch norms should be adapted to the study first, is
found by cross-validation over the corrected slices.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from flomo_training.finetuning.batchnorm import adapt_statistics, in_view
from flomo_training.finetuning.dataset import CorrectedFrame, corrected_frame
from flomo_training.label_mapping import channel_masks, predict_classes
from napari_flomo.errors import Cancelled, FlomoError, NothingLearnt
from napari_flomo.models import ModelCard
from napari_flomo.networks import LinearCorrection, can_correct
from napari_flomo.progress import Progress, ProgressCallback, no_progress
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume

RIDGE = 0.1
"""Weight of the squared weights against the mean cross-entropy of a pixel."""
FOLDS = 4
"""Largest number of folds of the cross-validation."""
HELPS_BELOW = 0.95
"""The adaptation is used if it leaves less than this fraction of the wrong pixels of slices that it
was not fitted to."""
STATISTICS = 0.5
"""Weight of the study in the statistics of the batch norms, of the choice that adapts them."""
MOST_SLICES = 24
"""Largest number of corrected slices that are used; more take long and add little."""
ANCHORS = 0.3
"""Weight of slices that nobody corrected, with the labels that the network gives them, against the
corrected ones. The queue offers the worst slices first; without these, what is learnt from them
harms the others."""
MOST_ANCHORS = 16
"""Largest number of such slices."""
MARGIN = 20
"""Pixels around the heart that count as near."""
SAMPLED_NEAR, SAMPLED_FAR = 2, 20
"""One of so many pixels near the heart, and elsewhere, is used; fewer of many slices."""
MANY = 8
"""So many slices are many."""
ITERATIONS = 25


@dataclass(frozen=True, eq=False)
class StudyAdaptation:
    """A network that is adapted to one study.

    Attributes
    ----------
    network
        Takes the place of the network that was adapted.
    before, after
        Wrong pixels in the corrected slices, each of which was left out of the fit: of the network
        as it was, and adapted.
    """

    network: nn.Module
    before: int
    after: int

    @property
    def helps(self) -> bool:
        """Whether the corrections of some slices improve the labels of others."""
        return self.after < HELPS_BELOW * self.before


def segment_again(
    segmenter: Segmenter,
    volume: Volume,
    labels: Volume,
    corrected: Sequence[tuple[int, int]],
    frames: Sequence[int] | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Segmentation:
    """Adapt a network to the corrected slices of an image, and segment the image again.

    Parameters
    ----------
    segmenter
        Keeps its network.
    volume, labels
        The image, and labels on its grid in the codes of the segmenter's card.
    corrected
        Frame and slice of each corrected slice, at least two.
    frames
        Frames to segment; all by default.
    progress, cancelled
        As for `adapt_to_study` and `Segmenter.segment`.

    Returns
    -------
    Segmentation
        Without probabilities; ``adapted_to_study`` in its manifest has the number of corrected
        slices and the wrong pixels of the cross-validation.

    Raises
    ------
    NothingLearnt
        If the corrections of some slices do not improve the labels of others.
    FlomoError
        If the network cannot be adapted.
    """
    card = segmenter.card
    if not can_correct(segmenter.network):
        raise FlomoError(
            f"{card.name} cannot learn from a single study; choose a model with FLoMo-Net."
        )
    slices_of: dict[int, list[int]] = {}
    chosen = sorted(corrected)
    if len(chosen) > MOST_SLICES:
        positions = np.linspace(0, len(chosen) - 1, MOST_SLICES).round().astype(int)
        chosen = [chosen[position] for position in positions]
    for frame, index in chosen:
        slices_of.setdefault(frame, []).append(index)
    study = [
        corrected_frame(volume.frame(frame), labels.frame(frame), slices, card)
        for frame, slices in slices_of.items()
    ]
    adaptation = adapt_to_study(
        segmenter.network, card, study, progress=progress, cancelled=cancelled
    )
    if not adaptation.helps:
        raise NothingLearnt(
            "Nothing was learnt: what you corrected in some slices of this study does not improve "
            "the others. Nothing was changed; accept more slices before you try again."
        )
    found = Segmenter(adaptation.network, card, segmenter.device).segment(
        volume, frames=frames, progress=progress, cancelled=cancelled, keep_probabilities=False
    )
    learnt = {
        "slices": len(chosen),
        "wrong_pixels_before": adaptation.before,
        "wrong_pixels_after": adaptation.after,
    }
    return replace(found, manifest={**found.manifest, "adapted_to_study": learnt})


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Some pixels of one slice: features, logits, classes and the weight of each."""

    features: Tensor
    logits: Tensor
    classes: Tensor
    weights: Tensor


def adapt_to_study(
    network: nn.Module,
    card: ModelCard,
    frames: Sequence[CorrectedFrame],
    *,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StudyAdaptation:
    """Adapt a network to the corrected slices of one study.

    Parameters
    ----------
    network
        One with `napari_flomo.networks.can_correct`; it is not changed.
    card
        Of the network.
    frames
        Corrected slices of one image, at least two in all, see `corrected_frame`.
    progress
        Called after every slice and every fit.
    cancelled
        Checked as often.

    Raises
    ------
    Cancelled
        If ``cancelled`` returned True.
    """
    choices = [network.eval(), *_with_statistics_of(network, frames, card)]
    slices = sum(len(frame.slices) for frame in frames)
    folds = min(FOLDS, slices)
    anchors = _anchors(network, frames, card)
    total, done = len(choices) * (slices + len(anchors) + folds), 0

    def tick() -> None:
        nonlocal done
        if cancelled is not None and cancelled():
            raise Cancelled
        (progress or no_progress)(Progress(done, total, "Learning"))
        done += 1

    before: int | None = None
    best: tuple[int, LinearCorrection, tuple[Tensor, Tensor]] | None = None
    for choice in choices:
        adapted = LinearCorrection(choice).eval()
        pixels = list(_pixels_of(adapted, frames, card, tick))
        kept = _weighted(list(_pixels_of(adapted, anchors, card, tick)), pixels)
        if before is None:  # the first choice is the network as it was
            before = sum(_wrong(one, one.logits, card) for one in pixels)
        after = 0
        for fold in range(folds):
            tick()
            after += _wrong_left_out(pixels, fold, folds, kept, card)
        if best is None or after < best[0]:
            best = after, adapted, _fit([*pixels, *kept], card)
    assert best is not None
    assert before is not None
    tick()
    after, adapted, correction = best
    adapted.set_correction(*correction)
    return StudyAdaptation(adapted, before, after)


def _with_statistics_of(
    network: nn.Module, frames: Sequence[CorrectedFrame], card: ModelCard
) -> list[nn.Module]:
    """Return a copy whose batch norms are adapted to the study; none if there are no such norms."""
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return []
    copied = copy.deepcopy(network)
    adapt_statistics(copied, frames, card, STATISTICS, 0)
    return [copied]


def _anchors(
    network: nn.Module, frames: Sequence[CorrectedFrame], card: ModelCard
) -> list[CorrectedFrame]:
    """Return some slices that nobody corrected, one each, with the labels of the network."""
    device = next(network.parameters()).device
    unseen = [(frame, index) for frame in frames for index in range(len(frame.unseen))]
    count = min(len(unseen), MOST_ANCHORS)
    anchors = []
    for position in np.linspace(0, len(unseen) - 1, count).round().astype(int):
        frame, index = unseen[position]
        images = in_view(frame.unseen[index : index + 1], card)
        with torch.no_grad():
            logits = network(torch.from_numpy(images).to(device, torch.float32) / 255).logits
        classes = predict_classes(logits, card).cpu().numpy().astype(np.uint8)
        volume = replace(frame.volume, images=images, classes=classes)
        anchors.append(replace(frame, slices=(index,), volume=volume))
    return anchors


def _weighted(anchors: list[_Pixels], corrected: Sequence[_Pixels]) -> list[_Pixels]:
    """Return anchors that together have the weight `ANCHORS` against the corrected slices."""
    if not anchors:
        return []
    theirs, ours = (sum(float(one.weights.sum()) for one in part) for part in (anchors, corrected))
    return [replace(one, weights=one.weights * (ANCHORS * ours / theirs)) for one in anchors]


def _pixels_of(
    adapted: LinearCorrection,
    frames: Sequence[CorrectedFrame],
    card: ModelCard,
    tick: Callable[[], None],
) -> Iterator[_Pixels]:
    """Yield the pixels of each corrected slice to fit to: more near the heart than elsewhere."""
    device = next(adapted.parameters()).device
    rng = np.random.default_rng(0)
    thinned = max(1, sum(len(frame.slices) for frame in frames) // MANY)
    for frame in frames:
        images = torch.from_numpy(in_view(frame.volume.images, card)).float() / 255
        classes = torch.from_numpy(in_view(frame.volume.classes, card)).long()
        for image, truth in zip(images, classes, strict=True):
            tick()
            with torch.no_grad():
                logits, features = adapted.feature_maps(image[None].to(device))
            logits, features = logits[0].cpu(), features[0].cpu()
            heart = (truth > 0) | (predict_classes(logits[None], card)[0] > 0)
            weights = _sampled(heart.numpy(), rng, thinned)
            used = torch.nonzero(weights)[:, 0]
            yield _Pixels(
                features.flatten(1).T[used],
                logits.flatten(1).T[used],
                truth.flatten()[used],
                weights[used],
            )


def _sampled(heart: NDArray[np.bool_], rng: np.random.Generator, thinned: int) -> Tensor:
    """Return how many pixels each pixel of a slice, in flat order, stands for; 0 if not used."""
    near = np.zeros(heart.shape, bool)
    if heart.any():
        rows, columns = (
            slice(max(where.min() - MARGIN, 0), where.max() + MARGIN + 1)
            for where in np.nonzero(heart)
        )
        near[rows, columns] = True
    weights = np.zeros(heart.size, np.float32)
    for part, one_of in ((near, SAMPLED_NEAR * thinned), (~near, SAMPLED_FAR * thinned)):
        places = np.flatnonzero(part)
        weights[rng.choice(places, len(places) // one_of, replace=False)] = one_of
    return torch.from_numpy(weights)


def _wrong_left_out(
    pixels: Sequence[_Pixels], fold: int, folds: int, kept: Sequence[_Pixels], card: ModelCard
) -> int:
    """Return the wrong pixels in the slices of a fold, after a fit to the others."""
    others = [one for number, one in enumerate(pixels) if number % folds != fold]
    weights, bias = _fit([*others, *kept], card)
    left_out = pixels[fold::folds]
    return sum(_wrong(one, one.logits + one.features @ weights + bias, card) for one in left_out)


def _fit(pixels: Sequence[_Pixels], card: ModelCard) -> tuple[Tensor, Tensor]:
    """Return weights ``(features, K)`` and bias ``(K,)`` of the correction of the logits."""
    features = torch.cat([one.features for one in pixels])
    logits = torch.cat([one.logits for one in pixels])
    classes = torch.cat([one.classes for one in pixels])
    shares = torch.cat([one.weights for one in pixels])
    shares = shares / shares.sum()
    spread, mean = torch.std_mean(features, 0)
    scale = 1 / (spread + 1e-3)
    inputs = (features - mean) * scale
    weights = torch.zeros(features.shape[1], logits.shape[1], requires_grad=True)
    bias = torch.zeros(logits.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=ITERATIONS, history_size=8, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimiser.zero_grad()
        loss = (_loss(logits + inputs @ weights + bias, classes, card) * shares).sum()
        loss = loss + RIDGE * (weights.square().sum() + bias.square().sum())
        loss.backward()
        return float(loss.detach())

    optimiser.step(closure)
    with torch.no_grad():
        scaled = weights * scale[:, None]
        return scaled, bias - mean @ scaled


def _loss(logits: Tensor, classes: Tensor, card: ModelCard) -> Tensor:
    """Return the cross-entropy of each pixel; logits are ``(pixels, K)``."""
    if card.activation == "softmax":
        return F.cross_entropy(logits, classes, reduction="none")
    masks = channel_masks(classes[:, None, None], logits[:, :, None, None], card.activation)
    return F.binary_cross_entropy_with_logits(logits, masks[:, :, 0, 0], reduction="none").sum(1)


def _wrong(pixels: _Pixels, logits: Tensor, card: ModelCard) -> int:
    found = predict_classes(logits.T[None, :, :, None], card)[0, :, 0]
    return int(((found != pixels.classes) * pixels.weights).sum())
