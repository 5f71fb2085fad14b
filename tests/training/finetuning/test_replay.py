"""Samples and batches of fine-tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flomo_training.finetuning import gather, read_replay
from flomo_training.finetuning.replay import ReplaySampler, SampleDataset, plan_samples
from flomo_training.leaks import fingerprint
from flomo_training.pack import write_pack
from flomo_training.recipe import Crops, CropStage
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import read

CROPS = Crops((CropStage(0, 32),), jitter=2, anywhere=0.0)


@pytest.fixture
def settings(settings):
    """With distillation on unreviewed slices."""
    return replace(settings, distillation=replace(settings.distillation, weight=1.0))


def test_unreviewed_slices_are_used_for_distillation(fill, card, settings):
    training = gather(fill(patients=2, seen=3), card, [])
    samples = plan_samples(training, [], card, settings)
    assert samples.corrections == 6
    assert samples.others_per_batch == 1, "a quarter of a batch of four"
    assert samples.labelled == (True, True, False, False)
    none = replace(settings, distillation=replace(settings.distillation, weight=0.0))
    assert plan_samples(training, [], card, none).others_per_batch == 0
    everything_seen = gather(fill(patients=2, seen=4, folder="whole"), card, [])
    assert plan_samples(everything_seen, [], card, settings).others_per_batch == 0


def test_batches_are_mixed_and_keys_unique(fill, card, settings):
    training = gather(fill(patients=2), card, [])
    samples = plan_samples(training, [], card, settings)
    sampler = ReplaySampler(samples, batch_size=4, steps=10, seed=1)
    seen = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        tickets = list(sampler)
        assert len(tickets) == len(sampler) == 40
        for begin in range(0, 40, 4):
            indices = [index for _, index in tickets[begin : begin + 4]]
            assert sum(index >= samples.corrections for index in indices) == 1
        seen += tickets
    assert len({number for number, _ in seen}) == len(seen)
    counts = np.bincount([index for _, index in seen if index < samples.corrections])
    assert len(counts) == 6
    assert counts.max() - counts.min() <= 3, "all corrections equally often"
    sampler.set_epoch(2)
    assert list(sampler) == seen[80:], "the same after an interruption"


def test_items_have_named_and_labelled(fill, card, settings):
    labels = (*card.labels, replace(card.labels[1], code=9, name="fat"))
    wide = replace(card, labels=labels)
    training = gather(fill(patients=2), wide, [])
    samples = plan_samples(training, [], wide, settings)
    dataset = SampleDataset(samples, wide, CROPS, settings.augmentation, seed=1)
    first, last = dataset[(0, 0)], dataset[(1, len(dataset) - 1)]
    assert first["image"].shape == (1, 32, 32)
    assert first["named"].tolist() == [True, True, True, False]
    assert bool(first["labelled"])
    assert not bool(last["labelled"])
    again = dataset[(0, 0)]
    assert (again["image"] == first["image"]).all()
    assert (dataset[(5, 0)]["image"] != first["image"]).any()
    sigmoid = SampleDataset(
        samples, replace(wide, activation="sigmoid"), CROPS, settings.augmentation, 1
    )
    assert sigmoid[(0, 0)]["named"].tolist() == [True, True, False]


@pytest.fixture
def base_card(card, dataset):
    """Card of a model trained on the small data set without its first two patients."""
    images = sorted((dataset / "images").glob("*.nii.gz"))
    return replace(card, trained_on=tuple(fingerprint(image) for image in images[2:]))


def test_replay_uses_training_images_of_the_parent(fill, base_card, dataset, settings, tmp_path):
    corrected = gather(fill(patients=2), base_card, [])
    volumes = read_replay(dataset, base_card, corrected, settings)
    assert {volume.case.name for volume in volumes} == {"p2_a", "p3_a", "p4_a", "p5_a"}
    assert len(read_replay(dataset, base_card, corrected, replace(settings, replay_cases=2))) == 2
    pack = tmp_path / "pack.npz"
    write_pack(dataset, base_card, pack)
    packed = read_replay(pack, base_card, corrected, settings)
    assert {v.fingerprint for v in packed} == {v.fingerprint for v in volumes}
    samples = plan_samples(corrected, volumes, base_card, settings)
    assert samples.others_per_batch == 2
    assert all(samples.labelled)


def test_a_corrected_image_is_not_replayed(fill, base_card, dataset, settings):
    image = read(dataset / "images" / "p3_a.nii.gz")
    labels = image.with_data(read(dataset / "labels" / "p3_a_gt.nii.gz").data)
    store = fill(patients=1, image=image, corrected=labels, proposed=None)
    corrected = gather(store, base_card, [])
    names = {v.case.name for v in read_replay(dataset, base_card, corrected, settings)}
    assert names == {"p2_a", "p4_a", "p5_a"}


def test_replay_without_known_training_images_is_rejected(fill, card, base_card, dataset, settings):
    corrected = gather(fill(patients=2), card, [])
    with pytest.raises(FlomoError, match="does not list its training images"):
        read_replay(dataset, replace(card, trained_on=None), corrected, settings)
    with pytest.raises(FlomoError, match="contains no image that tiny was trained on"):
        read_replay(dataset, card, corrected, settings)
