"""Temperature of a tuned model, fitted on held-out slices."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from flomo_training.finetuning import recalibration
from flomo_training.finetuning.recalibration import edited_pixels, recalibrate
from flomo_training.gate.cases import EvaluationImage, Fold, HeldOut
from napari_flomo.errors import Cancelled
from napari_flomo.models import load_card
from napari_flomo.segmentation import Segmenter


@pytest.fixture
def candidate(base, tmp_path):
    shutil.copytree(base, tmp_path / "candidate")
    return tmp_path / "candidate"


@pytest.fixture
def held_out(fill, base, tmp_path):
    """A store and two folds, with one patient each."""
    store = fill(patients=2, seen=4)
    folds = []
    for number, record in enumerate(store.records()):
        model = shutil.copytree(base, tmp_path / f"fold{number}")
        folds.append(Fold(model, (HeldOut(record.id, 0, (0, 1, 2, 3)),)))
    return store, folds


def test_candidate_gets_its_own_temperature(candidate, held_out):
    before = load_card(candidate)
    fit = recalibrate(candidate, *held_out, device="cpu")
    after = load_card(candidate)
    # The scanner is unseen, so the network is wrong nearly everywhere and overconfident.
    assert after.temperature == fit.temperature > before.temperature
    assert fit.nll_after < fit.nll_before
    assert "8 held-out corrected slices" in after.protocol
    assert after.sha256 == before.sha256
    assert {load_card(fold.model).temperature for fold in held_out[1]} == {fit.temperature}


def test_parent_temperature_is_kept_without_held_out_slices(candidate, held_out, monkeypatch):
    store, parts = held_out
    assert recalibrate(candidate, store, [], "cpu") is None
    monkeypatch.setattr(recalibration, "TOO_FEW", 10**6)
    assert recalibrate(candidate, store, parts, "cpu") is None
    assert load_card(candidate).temperature == 1.25


def test_it_can_be_cancelled(candidate, held_out):
    with pytest.raises(Cancelled):
        recalibrate(candidate, *held_out, device="cpu", cancelled=lambda: True)


def test_unedited_pixels_are_not_used(candidate, make_disc):
    segmenter = Segmenter.from_pretrained(candidate, "cpu")
    image, labels = make_disc(7)

    def pixels(drawn):
        evaluated = EvaluationImage("one", "p", lambda: (image, labels), (0, 1), (2, 5), drawn)
        return edited_pixels(segmenter, evaluated)

    whole, part = pixels(None), pixels((5,))
    assert set(np.unique(whole.classes)) == {0, 1, 2}
    assert set(np.unique(part.classes)) <= {0, 2}
    assert 0 < len(part.classes) < len(whole.classes)
    assert not (part.logits.argmax(1) == 1).any()
