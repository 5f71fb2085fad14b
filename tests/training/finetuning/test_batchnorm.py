"""Adaptation of batch norm statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from flomo_training.finetuning import corrected_frame
from flomo_training.finetuning.batchnorm import adapt_statistics, in_view


def frame_of(card, make_disc, seed: int = 0, seen=(1, 2), **scanner):
    image, labels = make_disc(seed, **scanner)
    return corrected_frame(image, labels, seen, card)


def test_statistics_lie_between_old_and_new(card, make_disc):
    frame = frame_of(card, make_disc)
    norm = nn.BatchNorm2d(1, momentum=0.3).eval()
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    every = np.concatenate([frame.volume.images, frame.unseen])
    pixels = in_view(every, card).astype(np.float64) / 255
    adapt_statistics(norm, [frame], card, 0.25, seed=0)
    assert norm.running_mean.item() == pytest.approx(1.5 + 0.25 * pixels.mean(), abs=1e-5)
    assert norm.running_var.item() == pytest.approx(3 + 0.25 * pixels.var(ddof=1), abs=1e-5)
    assert not norm.training
    assert norm.momentum == 0.3


def test_nothing_else_changes(card, make_disc):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adapt_statistics(network, [frame_of(card, make_disc)], card, 0.0, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    adapt_statistics(network, [frame_of(card, make_disc)], card, 0.5, seed=0)
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed - {"1.num_batches_tracked"} == {"1.running_mean", "1.running_var"}


def test_the_same_images_give_the_same_statistics(card, make_disc):
    frames = [frame_of(card, make_disc, seed) for seed in range(6)]
    results = []
    for state in (1, 2):
        torch.manual_seed(state)
        norm = nn.BatchNorm2d(1).eval()
        adapt_statistics(norm, frames, card, 1.0, seed=3)
        results.append((norm.running_mean.clone(), norm.running_var.clone()))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_images_of_any_size(card, make_disc):
    whole = replace(card, preprocessing=replace(card.preprocessing, crop=None))
    frames = [frame_of(whole, make_disc), frame_of(whole, make_disc, seen=(0,))]
    narrow = frames[1].volume
    frames[1] = replace(
        frames[1],
        volume=replace(narrow, images=narrow.images[..., :-4], classes=narrow.classes[..., :-4]),
        unseen=frames[1].unseen[..., :-4],
    )
    norm = nn.BatchNorm2d(1).eval()
    adapt_statistics(norm, frames, whole, 1.0, seed=0)
    assert torch.isfinite(norm.running_var).all()


def test_adapted_statistics_improve_another_scanner(card, make_disc):
    """A network of norms is trained on one scanner; the other has less contrast and is darker."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1),
    )  # fmt: skip
    frames = [frame_of(card, make_disc, seed, seen=range(4)) for seed in range(4)]

    def tensors(some, change=lambda pixels: pixels):
        images = np.concatenate([in_view(f.volume.images, card) for f in some])
        classes = np.concatenate([in_view(f.volume.classes, card) for f in some])
        return change(torch.from_numpy(images).float() / 255), torch.from_numpy(classes).long()

    images, classes = tensors(frames)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(images), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()

    def dark(pixels):
        return pixels * 0.4

    def right():
        other, truth = tensors([frame_of(card, make_disc, 20, seen=range(4))], dark)
        return (network(other).argmax(1) == truth)[truth > 0].float().mean().item()

    before = right()
    met = []
    for frame in (frame_of(card, make_disc, seed, seen=range(4)) for seed in range(10, 14)):
        darker = dark(torch.from_numpy(frame.volume.images).float()).byte().numpy()
        met.append(replace(frame, volume=replace(frame.volume, images=darker)))
    adapt_statistics(network, met, card, 0.9, seed=0)
    assert right() > before + 0.2
