"""Training of a small model: export, resuming, errors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flomo_training import slices
from flomo_training.cases import list_cases
from flomo_training.evaluate import evaluate, summarise
from flomo_training.fit import train
from flomo_training.module import cosine_with_warm_up
from flomo_training.progress_logger import CURVES
from flomo_training.recipe import parse_recipe
from flomo_training.slices import EpochSampler
from napari_flomo.cli import main
from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import Segmenter


@pytest.fixture(scope="module")
def trained(dataset, new_content, tmp_path_factory):
    recipe = replace(parse_recipe(new_content(), Path("recipe.yaml")), epochs=40)
    out = tmp_path_factory.mktemp("runs") / "run"
    return recipe, out, train(recipe, dataset, out)


@pytest.mark.slow
def test_training_generalises_to_held_out_cases(dataset, trained):
    _, out, folder = trained
    segmenter = Segmenter.from_pretrained(folder, device="cpu")
    rows = evaluate(list_cases(dataset, 0, "validation"), segmenter)
    summary = summarise(rows, segmenter.card)
    assert summary["mean_dice"] > 0.8
    assert summary["patients"] == 2
    assert set(summary["dice"]) == {"wall", "cavity"}
    # The model is exported without training heads.
    weights = load_file(folder / "model.safetensors")
    assert not any(name.startswith("aux_heads") for name in weights)
    assert "deep_supervision" not in segmenter.card.network_arguments
    assert segmenter.card.created
    assert (out / "run.json").is_file()
    assert (out / "curves" / "metrics.csv").is_file()


def test_resume_needs_a_checkpoint(dataset, recipe, tmp_path):
    with pytest.raises(FlomoError, match="no checkpoint"):
        train(recipe, dataset, tmp_path / "nothing", resume=True)


class _PowerCut(RuntimeError):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "arguments", "extra"),
    [
        ("dynunet", {"filters": [4, 8, 8, 16]}, {}),
        ("flomo-b0", {}, {"average": 0.8, "accumulate": 2}),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(
    content, dataset, tmp_path, *, monkeypatch, assert_same_weights, network, arguments, extra
):
    """With networks that draw no random numbers in training."""
    arguments = arguments | {"deep_supervision": True}
    content["model"] |= {"network": network, "network_arguments": arguments}
    recipe = parse_recipe(content | extra, Path("recipe.yaml"))
    whole = train(recipe, dataset, tmp_path / "whole")

    from flomo_training import fit

    class Cut(fit.ProgressLogger):
        def on_train_epoch_start(self, trainer, module):
            super().on_train_epoch_start(trainer, module)
            if trainer.current_epoch == 2:
                raise _PowerCut

    monkeypatch.setattr(fit, "ProgressLogger", Cut)
    with pytest.raises(_PowerCut):
        train(recipe, dataset, tmp_path / "cut")
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "model").exists()
    resumed = train(recipe, dataset, tmp_path / "cut", resume=True)

    assert_same_weights(whole, resumed)
    curves = [read_curves(tmp_path / run) for run in ("whole", "cut")]
    assert len(curves[0]) == recipe.epochs
    assert curves[0] == curves[1]


def read_curves(run: Path) -> list[tuple[str, str, str]]:
    with (run / CURVES).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["epoch"], row["train/loss"], row["learning_rate"]) for row in rows]


@pytest.mark.slow
def test_the_mean_of_the_weights_is_exported(dataset, recipe, tmp_path):
    recipe = replace(recipe, epochs=2)
    last = load_file(train(recipe, dataset, tmp_path / "last") / "model.safetensors")
    averaged = replace(recipe, average=0.9)
    mean = load_file(train(averaged, dataset, tmp_path / "mean") / "model.safetensors")
    checkpoint = torch.load(tmp_path / "mean" / "last.ckpt", weights_only=True)
    assert any(not torch.equal(last[name], mean[name]) for name in last)

    def saved(part, name):
        value = checkpoint[part][f"network.{name}"]
        return value.to(mean[name].dtype)  # kernels are exported in half precision

    for name, value in mean.items():
        assert torch.equal(value, saved("state_dict", name)), name
        # Averaging does not change the run.
        assert torch.equal(last[name], saved("current_model_state", name)), name
        if "running" in name:
            # Statistics depend on the crop size and are not averaged.
            assert torch.equal(value, last[name]), name


@pytest.mark.slow
def test_run_interrupted_before_export_is_completed(
    dataset, recipe, tmp_path, monkeypatch, assert_same_weights
):
    recipe = replace(recipe, epochs=2, average=0.9)
    whole = train(recipe, dataset, tmp_path / "whole")

    def fail(*_):
        raise _PowerCut

    monkeypatch.setattr("flomo_training.fit.export_model", fail)
    with pytest.raises(_PowerCut):
        train(recipe, dataset, tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setattr("flomo_training.provenance.describe_device", lambda _: "another machine")
    assert_same_weights(whole, train(recipe, dataset, tmp_path / "cut", resume=True))
    hardware = [
        json.loads((tmp_path / run / "run.json").read_text())["hardware"]
        for run in ("whole", "cut")
    ]
    assert hardware[0] == hardware[1], "of the training, not of the export"


@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_a_model(dataset, recipe, tmp_path):
    recipe = replace(recipe, epochs=1)
    parent = train(recipe, dataset, tmp_path / "parent")
    still = replace(recipe.optimiser, learning_rate=1e-12, weight_decay=0.0)
    heir = replace(recipe, optimiser=still, start_from=str(parent))
    child = train(heir, dataset, tmp_path / "child")
    before, after = (load_file(folder / "model.safetensors") for folder in (parent, child))
    for name, value in before.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(value, after[name], atol=1e-6), name


def test_weights_of_another_architecture_are_rejected(dataset, new_content, tmp_path):
    content = new_content() | {"start_from": "flomo-b0-acdc"}  # four labels instead of three
    content["model"] |= {"network": "flomo-b0", "network_arguments": {}}
    with pytest.raises(FlomoError, match="do not fit the network"):
        train(parse_recipe(content, Path("recipe.yaml")), dataset, tmp_path / "run")


@pytest.mark.slow
def test_two_processes_share_the_slices_and_make_one_model(dataset, new_content, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(new_content() | {"epochs": 1}))
    command = [sys.executable, "-m", "napari_flomo", "train", str(recipe), "--data", str(dataset)]
    command += ["--out", str(tmp_path / "run"), "--accelerator", "cpu", "--devices", "2"]
    done = subprocess.run(
        [*command, "--strategy", "ddp"], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Model: ") == 1
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["recipe"]["hardware"]["devices"] == 2
    with (tmp_path / "run" / CURVES).open(newline="") as file:
        # Twelve slices: six for each process, of which batches of four take one each.
        assert [float(row["slices"]) for row in csv.DictReader(file)] == [8]


def test_processes_get_disjoint_shares(monkeypatch):
    whole = list(EpochSampler(11, seed=5))
    shares = []
    for rank in range(3):
        monkeypatch.setattr(slices, "_rank_and_world_size", lambda rank=rank: (rank, 3))
        sampler = EpochSampler(11, seed=5)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == 3
    together = [ticket for share in shares for ticket in share]
    assert len(set(together)) == 9
    assert set(together) == set(whole[:9])


def test_the_learning_rate_warms_up_and_ends_at_zero():
    shares = [cosine_with_warm_up(step, 5, 100) for step in range(101)]
    assert shares[0] == pytest.approx(1 / 6)
    assert max(shares) == pytest.approx(1.0)
    assert shares[5] == pytest.approx(1.0)
    assert shares[-1] == pytest.approx(0.0)
    assert shares[:6] == sorted(shares[:6])
    assert shares[5:] == sorted(shares[5:], reverse=True)


@pytest.mark.slow
def test_figures_are_recorded_in_the_card_and_leave_the_weights_valid(dataset, trained, capsys):
    _, _, folder = trained
    arguments = ["evaluate", "--model", str(folder), "--data", str(dataset), "--record", "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    card = Segmenter.from_pretrained(folder, device="cpu").card  # verifies the weights again
    assert card.metrics["mean_dice"] == printed["mean_dice"]
    assert card.metrics["split"] == "validation"
    assert card.metrics["sha256"] == card.sha256


@pytest.mark.slow
def test_command_trains_and_does_not_overwrite_a_run(dataset, new_content, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(new_content() | {"epochs": 1}))  # JSON is YAML too
    out = tmp_path / "run"
    arguments = ["train", str(recipe), "--data", str(dataset), "--fold", "1", "--out", str(out)]
    assert main(arguments) == 0
    assert (out / "recipe.yaml").read_text() == recipe.read_text()
    assert "fold 1" in Segmenter.from_pretrained(out / "model", device="cpu").card.protocol
    capsys.readouterr()
    recipe.write_text(json.dumps(new_content() | {"epochs": 2}))
    assert main(arguments) == 2
    assert "already contains a run" in capsys.readouterr().err
    assert (out / "recipe.yaml").read_text() != recipe.read_text()
