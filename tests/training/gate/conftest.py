"""Fixtures: two models that segment by brightness, one better than the other."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flomo_training.cases import list_cases, read_case
from flomo_training.gate import HeldOut, plots, run
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.models import load_card
from napari_flomo.models.card import card_text
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume

GOOD = (0.2, 0.52, 1.36)
POOR = (0.2, 0.7, 1.36)
"""Brightness of ground, wall and cavity: this one calls much of the wall ground."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, thresholds):
    """An empty home folder, and models defined by brightness levels."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))

    def from_pretrained(folder, device):
        card = load_card(folder)
        return Segmenter(thresholds(card.network_arguments["levels"]), card, "cpu")

    monkeypatch.setattr(plots, "MOST_PICTURES", 2)  # drawing takes longest here
    monkeypatch.setattr(run.Segmenter, "from_pretrained", from_pretrained)
    return tmp_path / "home"


@pytest.fixture
def card(recipe):
    """Card with code 2 for wall and code 5 for cavity."""
    return replace(recipe.model, trained_on=())


@pytest.fixture
def model(tmp_path, card):
    """Write a model folder; a candidate names the parent of the same test."""

    def write(name, levels, **changes):
        folder = tmp_path / name
        folder.mkdir()
        weights = repr((name, levels)).encode()
        (folder / "model.safetensors").write_bytes(weights)
        changes = {"network_arguments": {"levels": list(levels)}, "name": name} | changes
        changes["sha256"] = hashlib.sha256(weights).hexdigest()
        (folder / "card.json").write_text(card_text(replace(card, **changes)))
        return folder

    return write


@pytest.fixture
def parent(model):
    """A model that segments the wall poorly."""
    return model("parent", POOR)


@pytest.fixture
def candidate(model, parent):
    """Write a candidate of the parent."""
    lineage = f"parent {load_card(parent).sha256}"

    def write(levels=GOOD, **changes):
        return model("candidate", levels, **({"parent": lineage} | changes))

    return write


@pytest.fixture
def reference(dataset, tmp_path, read_cases, write_cases):
    """The first three patients of the small data set."""
    folder = shutil.copytree(dataset, tmp_path / "reference")
    write_cases(folder, list(read_cases(folder).values())[:3])
    return folder


@pytest.fixture
def store(dataset, tmp_path):
    """Corrections of the other three patients, in codes of another model."""
    made = CorrectionStore.open(tmp_path / "store", create=True)
    for case in list_cases(dataset, 0, "all")[3:]:
        made.add(correction(made, case.patient, *read_case(case)))
    return made


def correction(
    store: CorrectionStore, patient: str, image: Volume, truth: Volume, **changes: Any
) -> Correction:
    """Return a correction with reviewed slices 0 and 2, in codes of another model."""
    codes = np.select([truth.data == 2, truth.data == 5], [1, 2], 0).astype(np.uint8)
    fields = {
        "image": image,
        "corrected": image.with_data(codes),
        "structures": {1: "Wall", 2: "cavity"},
        "seen": [(0, 0), (0, 2)],
        "state": "accepted",
        "group": store.group_id(patient),
    }
    return Correction(**(fields | changes))


@pytest.fixture
def held_out(store):
    """All corrections."""
    return [HeldOut(record.id, 0, (0, 2)) for record in store.records()]


@pytest.fixture
def make_correction(dataset):
    """Make another correction of a new image."""

    def make(store, **changes):
        image, truth = read_case(list_cases(dataset, 0, "all")[0])
        image = replace(image, data=image.data + 1)
        return correction(store, "new", image, truth, **changes)

    return make
