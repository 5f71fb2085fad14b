"""Fixtures: a small model, images of an unseen scanner, and their corrections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flomo_training.finetuning import read_settings
from flomo_training.recipe import parse_recipe
from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.models import IntensityRule, Preprocessing, build_network, save_model
from napari_flomo.volumes import Geometry, Volume

SIZE = 32
NAMES = {2: "wall", 5: "cavity"}
"""Codes of the card: not 1 and 2, so that a code taken for an index is found out."""


def disc(seed: int, *, other_scanner: bool = False, slices: int = 4) -> tuple[Volume, Volume]:
    """Return a bright cavity in a grey wall, and its labels; another scanner shows it dark."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:SIZE, :SIZE]
    middle = SIZE / 2 + rng.uniform(-2, 2, 2)
    radius = np.hypot(row - middle[0], column - middle[1])
    image = rng.normal(40, 4, (slices, SIZE, SIZE))
    codes = np.zeros((slices, SIZE, SIZE), np.uint8)
    for k in range(slices):
        outer = 11 - k
        image[k, radius < outer] += 50
        image[k, radius < outer - 4] += 80
        codes[k, radius < outer] = 2
        codes[k, radius < outer - 4] = 5
    if other_scanner:
        image = 220 - image
    grid = Geometry((1.5, 1.5, 8.0), origin=(3.0, -4.0, 5.0))
    volume = Volume(image.clip(0).astype(np.int16), grid, modality="MR")
    return volume, volume.with_data(codes)


@pytest.fixture
def make_disc():
    """Make an image and its labels."""
    return disc


@pytest.fixture(scope="session")
def card(new_content):
    """Card of the small model without weights."""
    return replace(
        parse_recipe(new_content(), Path("recipe.yaml")).model,
        network="dynunet",
        network_arguments={"filters": [4, 8, 8]},
        preprocessing=Preprocessing(1.5, 28, IntensityRule("percentile", 1, 99)),
        training_data="Synthetic discs.",
        trained_on=(),
        temperature=1.25,
    )


@pytest.fixture(scope="session")
def base(card, tmp_path_factory):
    """The small model, trained for a few seconds on the first scanner."""
    from flomo_training.finetuning import corrected_frame

    torch.manual_seed(0)
    network = build_network(card).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    frames = [corrected_frame(*disc(seed), range(4), card) for seed in range(3)]
    images = torch.from_numpy(np.concatenate([f.volume.images for f in frames])).float() / 255
    classes = torch.from_numpy(np.concatenate([f.volume.classes for f in frames])).long()
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(images).logits, classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, network.eval(), card)
    return folder


@pytest.fixture
def fill(tmp_path, card):
    """Make a store with one corrected image of the other scanner for each patient."""

    def make(patients=3, seen=3, folder="store", **changes):
        store = CorrectionStore.open(tmp_path / folder, create=True)
        for number in range(patients):
            image, labels = disc(100 + number, other_scanner=True)
            fields = {
                "image": image,
                "corrected": labels,
                "proposed": labels.with_data(np.zeros_like(labels.data)),
                "structures": NAMES,
                "seen": [(0, index) for index in range(seen)],
                "state": "accepted",
                "group": store.group_id(f"patient {number}"),
                "model": ModelReference(card.name, "ab" * 32),
            }
            store.add(Correction(**(fields | changes)))
        return store

    return make


@pytest.fixture
def settings():
    """Settings of a training of a few seconds."""
    content = read_settings()
    return replace(
        content,
        steps=8,
        evaluate_every=4,
        batch_size=4,
        square=24,
        jitter=2,
        warm_up=2,
        learning_rate=0.02,
        average=0.5,
        folds=2,
        shares=(1.0,),  # networks of a few weights know nothing in between
        precision="32",
    )
