"""Fine-tuning of a small model: training, share of the way, resuming, errors."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flomo_training.finetuning import Settings, read_settings, tuning
from flomo_training.finetuning.module import DiceAccumulator, TuningModule, interpolate_weights
from flomo_training.finetuning.settings import DEFAULTS
from flomo_training.finetuning.share import choose_way
from flomo_training.gate.comparison import goes_to_parent
from flomo_training.recipe import Hardware
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import build_network, load_card, load_network, save_model
from napari_flomo.segmentation import Segmenter


@pytest.fixture(scope="module")
def b0(card, tmp_path_factory):
    """An untrained network with batch norms."""
    folder = tmp_path_factory.mktemp("models") / "b0"
    flomo = replace(card, network="flomo-b0", network_arguments={}, name="b0")
    with torch.random.fork_rng():
        torch.manual_seed(2)
        save_model(folder, build_network(flomo), flomo, dtype="float32")
    return folder


def dice(model: Path, image, labels) -> float:
    found = Segmenter.from_pretrained(model, "cpu").segment(image).labels.data
    shared = [2 * ((found == code) & (labels.data == code)).sum() for code in (2, 5)]
    both = [(found == code).sum() + (labels.data == code).sum() for code in (2, 5)]
    return float(np.mean(np.divide(shared, both)))


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "curves" / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def finetune(base, store, out, *, replay=None, device="auto", **options):
    """Call `flomo_training.finetuning.finetune` with paths."""
    config = FinetuneConfig(str(base), str(store), replay=replay and str(replay), device=device)
    return tuning.finetune(config, out, **options)


class _PowerCut(RuntimeError):
    pass


def cut_at(step: int):
    """Return a progress callback that fails at a step, like a power cut."""

    def report(progress):
        if progress.message == "Training" and progress.done == step:
            raise _PowerCut

    return report


def test_fine_tuning_improves_another_scanner(base, fill, settings, tmp_path, make_disc):
    store = fill(patients=4)
    points, steps, reported = [], [], []

    def report(progress):
        steps.append((progress.done, progress.total))
        reported.append(progress)
        if progress.data is not None:
            points.append(dict(progress.data))

    more = replace(settings, steps=48, evaluate_every=12, learning_rate=0.05)
    tuned = finetune(base, store.folder, tmp_path / "run", settings=more, progress=report)

    assert dice(base, *make_disc(501)) > 0.9
    new = make_disc(500, other_scanner=True)  # a patient without corrections
    assert dice(base, *new) < 0.3
    assert dice(tuned.folder, *new) > 0.45

    # Progress.
    assert [point["step"] for point in points] == list(range(0, 97, 12))
    assert points[0]["loss"] is None
    assert points[0]["dice"] < 0.3
    assert points[-1]["dice"] > 0.5
    assert (96, 96) in steps
    assert all(one.seconds_left is not None for one in reported if one.done > 0)
    written = [(row["fold"], row["epoch"]) for row in rows(tmp_path / "run")]
    assert written == [(fold, epoch) for fold in "12" for epoch in "0123"]

    # The card.
    made = load_card(tuned.folder)
    parent = load_card(base)
    assert made.name.startswith("tiny.tuned-")
    assert len(made.name) == len("tiny.tuned-") + 8
    assert made.parent == f"tiny {parent.sha256}"
    assert (made.licence, made.temperature, made.labels) == ("CC0-1.0", 1.25, parent.labels)
    assert made.training_data == "Synthetic discs. Then 12 corrected slices of 4 patients."
    assert dict(made.metrics) == {}
    assert made.history == ()
    lineage = made.lineage
    assert lineage["parent"]["card_sha256"] == parent.card_hash
    assert lineage["corrections"]["sha256"] == tuned.batch_hash
    assert lineage["corrections"]["slices"] == 12
    assert lineage["corrections"]["held_out_groups"] == 4
    assert (lineage["folds"], lineage["share"]) == (2, 1.0)
    assert lineage["held_out_dice"]["before"] == points[0]["dice"]
    assert lineage["held_out_dice"]["after"] == pytest.approx(points[-1]["dice"], abs=0.1)
    assert made.signature.patients == 4
    corrected = store.read(store.records()[0].id).image
    assert not goes_to_parent(corrected, parent, made)
    assert goes_to_parent(make_disc(501)[0], parent, made)
    own = {record.id: record.image.sha256[:16] for record in store.records()}
    assert set(made.trained_on) == set(own.values())
    for fold in tuned.folds:
        kept = {own[one.record_id] for one in fold.held_out}
        assert set(load_card(fold.model).trained_on) == set(made.trained_on) - kept
        assert dice(fold.model, *new) > 0.45
    assert {one.record_id for fold in tuned.folds for one in fold.held_out} == set(own)


def test_killed_and_resumed_equals_uninterrupted(
    base, fill, settings, tmp_path, *, monkeypatch, assert_same_weights
):
    def fail(*_):
        raise _PowerCut

    store = fill(patients=3)
    whole = finetune(base, store.folder, tmp_path / "whole", settings=settings)
    for step in (2, 6, 10, None):  # before and after a checkpoint, in the next fold, at the end
        run = tmp_path / f"cut{step}"
        with monkeypatch.context() as patch:
            if step is None:
                patch.setattr(tuning, "write_candidate", fail)
            with pytest.raises(_PowerCut):
                finetune(base, store.folder, run, settings=settings, progress=cut_at(step))
        assert not (run / "model").exists()
        again = finetune(base, store.folder, run, settings=settings, resume=True)
        assert_same_weights(whole.folder, again.folder)
        assert rows(tmp_path / "whole") == rows(run)
        assert again.card.name == whole.card.name


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norms_are_resumed(b0, fill, settings, tmp_path, *, assert_same_weights, frozen):
    store = fill(patients=2)
    short = replace(
        settings, steps=4, evaluate_every=2, batch_size=2, square=16, warm_up=0,
        adapt_statistics=0.5, freeze_statistics=frozen, shares=(0.35,), minimum_slices=3,
    )  # fmt: skip
    whole = finetune(b0, store.folder, tmp_path / "whole", settings=short)
    run = tmp_path / "cut"
    with pytest.raises(_PowerCut):
        finetune(b0, store.folder, run, settings=short, progress=cut_at(3))
    again = finetune(b0, store.folder, run, settings=short, resume=True)
    assert rows(tmp_path / "whole") == rows(run)
    assert again.way == whole.way
    for name in ("step-0002.safetensors", "step-0004.safetensors"):
        first, second = (load_file(one / "fold-1" / name) for one in (tmp_path / "whole", run))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_nothing_to_learn(base, fill, settings, tmp_path):
    still = replace(settings, learning_rate=1e-12)
    tuned = finetune(base, fill(patients=3).folder, tmp_path / "run", settings=still)
    assert (tuned.card, tuned.folds, tuned.way.share) == (None, (), 0)
    assert tuned.way.before == tuned.way.after
    assert not (tmp_path / "run" / "model").exists()
    again = finetune(base, tmp_path / "store", tmp_path / "run", settings=still, resume=True)
    assert again == tuned, "a finished run is not continued"
    with pytest.raises(FlomoError, match="already contains a run"):
        finetune(base, tmp_path / "store", tmp_path / "run", settings=still)


@pytest.mark.parametrize(
    ("gains", "share"),
    [
        ({0.5: (0.2, 0.2, 0.2), 1.0: (0.3, 0.2, 0.4)}, 1.0),
        ({0.5: (0.2, 0.2, 0.2), 1.0: (0.3, -0.2, 0.4)}, 0.5),
        ({0.5: (0.02, 0.01, 0.02), 1.0: (0.2, -0.2, 0.1)}, 0.5),
        ({0.5: (0.02, 0.0, -0.01), 1.0: (-0.1, -0.2, 0.1)}, 0),
        ({0.5: (0.1, 0.1, 0.1), 1.0: (0.1, 0.1, 0.1)}, 0.5),
        ({0.5: (0.1,), 1.0: (0.3,)}, 0.5),
        ({0.5: (-0.1,), 1.0: (0.3,)}, 0),
    ],
)
def test_share_of_the_way(gains, share):
    parent = {f"p{index}": 0.5 for index in range(len(gains[0.5]))}
    tuned = {
        (8, one): {name: 0.5 + gain for name, gain in zip(parent, those, strict=True)}
        for one, those in gains.items()
    }
    way = choose_way(parent, tuned, unchecked=0.5)
    assert way.share == share
    assert way.before == pytest.approx(0.5)
    assert (way.after > 0.5) == (share > 0)


def test_one_patient_alone(base, fill, settings, tmp_path):
    few = replace(settings, minimum_slices=3, steps=4)
    tuned = finetune(base, fill(patients=1).folder, tmp_path / "run", settings=few)
    assert tuned.folds == ()
    assert tuned.card.lineage["held_out_dice"] == {"before": None, "after": None}
    assert tuned.way.share == 0.5


def test_cancelled_between_two_batches(base, fill, settings, tmp_path):
    steps, run = [0], tmp_path / "run"
    options = {
        "progress": lambda progress: steps.append(progress.done),
        "cancelled": lambda: max(steps) >= 2,
    }
    with pytest.raises(Cancelled, match="can be resumed"):
        finetune(base, fill(patients=3).folder, run, settings=settings, **options)
    assert max(steps) == 2
    assert not (run / "model").exists()


def test_run_with_other_inputs_is_not_resumed(base, fill, settings, tmp_path):
    model, run = shutil.copytree(base, tmp_path / "tiny"), tmp_path / "run"
    store = fill(patients=3)
    with pytest.raises(_PowerCut):
        finetune(model, store.folder, run, settings=settings, progress=cut_at(6))

    def resume(**changes):
        settled = replace(settings, **changes)
        finetune(model, store.folder, run, settings=settled, resume=True)

    with pytest.raises(FlomoError, match="settings have changed"):
        resume(learning_rate=0.005)
    fill(patients=1, seen=4)
    with pytest.raises(FlomoError, match="corrections have changed"):
        resume()
    fill(patients=1)
    replace_model(model)
    with pytest.raises(FlomoError, match="model tiny was replaced since this training was started"):
        resume()


def replace_model(folder: Path) -> None:
    content = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(content | {"temperature": 2.0}))


def test_base_model_replaced_during_training(base, fill, settings, tmp_path):
    model, run = shutil.copytree(base, tmp_path / "tiny"), tmp_path / "run"

    def report(progress):
        if progress.done == 6:
            replace_model(model)

    with pytest.raises(FlomoError, match="replaced during the training"):
        finetune(model, fill(patients=3).folder, run, settings=settings, progress=report)
    assert not (run / "model").exists()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_batch_norms_after_a_run(b0, fill, settings, tmp_path, share):
    short = replace(
        settings, steps=2, evaluate_every=1, warm_up=0, batch_size=2, square=16,
        adapt_statistics=share, freeze_statistics=True, minimum_slices=3,
    )  # fmt: skip
    tuned = finetune(b0, fill(patients=1).folder, tmp_path / "run", settings=short)
    before, after = (load_file(folder / "model.safetensors") for folder in (b0, tuned.folder))
    means = [name for name in before if name.endswith("running_mean")]
    assert means
    kept = [torch.equal(before[name], after[name]) for name in means]
    assert all(kept) if share == 0 else not any(kept)
    assert any(not torch.equal(before[name], after[name].float()) for name in before)


def test_parent_is_not_trained(card, settings, base):
    recipe = settings.recipe(card, base, Hardware("cpu", 1))
    network, _ = load_network(base)
    weighted = replace(settings, distillation=replace(settings.distillation, weight=1.0))
    module = TuningModule(recipe, weighted, network, distil=True)
    assert not any(name.startswith("parent") for name in module.state_dict())
    module.log = lambda *_, **__: None
    torch.manual_seed(1)
    batch = {
        "image": torch.rand(3, 1, 16, 16),
        "classes": torch.zeros(3, 16, 16, dtype=torch.long),
        "named": torch.ones(3, 3, dtype=torch.bool),
        "labelled": torch.tensor([True, True, False]),
    }
    for parameter in module.network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    with_parent = module.training_step(batch, 0)
    module.distil = False
    assert with_parent > module.training_step(batch, 0) + 1e-4


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_weights_are_interpolated(base, share):
    parent = load_network(base)[0]
    trained = []
    for _ in range(2):
        other = {name: one.clone() for name, one in parent.state_dict().items()}
        trained.append({name: one + torch.rand(1) for name, one in other.items()})
    found = interpolate_weights(parent, trained, share)
    for name, before in parent.state_dict().items():
        mean = (trained[0][name] + trained[1][name]) / 2
        torch.testing.assert_close(found[name], before + share * (mean - before))


def test_accumulated_dice():
    validation_dice = DiceAccumulator()
    truth = torch.tensor([[[1, 1, 2, 0]]])
    found = torch.tensor([[[1, 0, 0, 0]]])
    # Dice 2/3 and 0; class 3 is absent.
    validation_dice.add("a", "f", (True, True, True, True), found, truth)
    validation_dice.add("b", "f", (True, True, False, True), truth, truth)
    assert validation_dice.by_patient() == {"a": pytest.approx((2 / 3 + 0) / 2), "b": 1}
    assert DiceAccumulator().by_patient() == {}


def test_settings_are_checked(tmp_path):
    assert isinstance(read_settings(), Settings)
    own = tmp_path / "own.yaml"
    own.write_text("steps: 50\ndistillation: {weight: 0}\n")
    changed = read_settings(own)
    assert (changed.steps, changed.distillation.weight) == (50, 0)
    assert changed.batch_size == read_settings().batch_size
    own.write_text("interpolation: 0.35\npatience: 4\nheld_out: 0.2\n")
    assert read_settings(own).shares == (0.35,), "settings of earlier versions"
    for text, words in (
        ("stepps: 50", "'stepps' is unknown"),
        ("steps: 0", "'steps' must be positive"),
        ("replay: 1.5", "'replay' must be 0 or more"),
        ("- 1", "no keys and values"),
        ("a: [", "cannot be read"),
    ):
        own.write_text(text)
        with pytest.raises(FlomoError, match=words):
            read_settings(own)
    assert DEFAULTS.is_file()
