"""``flomo models promote`` and ``rollback``, and the default model of ``flomo segment``."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_card, locate
from napari_flomo.models.card import card_text
from napari_flomo.segmentation import fit_signature, image_signature
from napari_flomo.volumes import Geometry, Volume, read, write

Answer = Callable[..., dict[str, Any]]
NAME = f"{DEFAULT_MODEL}.tuned-1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))


@pytest.fixture
def candidate(model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a small model whose card names the default model as its parent."""

    def write(verdict: str, reason: str, **changes: Any) -> Path:
        card, parent = load_card(model), load_card(DEFAULT_MODEL)
        gate = {
            "verdict": verdict,
            "reasons": [reason],
            "sha256": card.sha256,
            "parent_sha256": parent.sha256,
        }
        card = replace(
            card,
            name=NAME,
            parent=f"{parent.name} {parent.sha256}",
            lineage={"slices": 7, "groups": 2},
            gate=gate,
            **changes,
        )
        folder = tmp_path / "candidate"
        folder.mkdir(exist_ok=True)
        (folder / "card.json").write_text(card_text(card))
        (folder / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
        return folder

    return write


def test_segment_uses_the_promoted_model(
    answer: Answer, candidate: Callable[..., Path], stack: Path, tmp_path: Path
) -> None:
    promoted = answer("models", "promote", candidate("passed", "It is better."))
    assert promoted == {"base": DEFAULT_MODEL, "in_use": NAME}
    segment = ("segment", stack, "-o", tmp_path / "labels.nii.gz")
    assert answer(*segment)["manifest"]["model"]["name"] == NAME
    explicit = answer(*segment, "--model", DEFAULT_MODEL)
    assert explicit["manifest"]["model"]["name"] == DEFAULT_MODEL, "a name means that model"
    states = {state["name"]: state for state in answer("models", "list")["models"]}
    assert (states[NAME]["place"], states[NAME]["state"]) == ("tuned", "in use")
    assert states[DEFAULT_MODEL]["state"] == "replaced"
    assert answer("models", "rollback") == {"base": DEFAULT_MODEL, "in_use": DEFAULT_MODEL}
    assert answer(*segment)["manifest"]["model"]["name"] == DEFAULT_MODEL
    assert answer("models", "promote", NAME)["in_use"] == NAME, "it was not deleted"


def test_promotion_errors_give_the_reason(
    flomo: Callable[..., tuple[str, str]], refused: Callable[..., str], candidate: Any
) -> None:
    reason = "Dice on the reference fell by 0.0400."
    said = refused("models", "promote", candidate("refused", reason))
    assert said == f"flomo: {NAME} did not pass the gate: {reason}\n"
    assert f"{NAME}  tuned, candidate" in flomo("models", "list")[0]
    lines = flomo("models", "info", NAME)[0].splitlines()
    for line in ("    slices: 7", "  gate: refused", f"    {reason}"):
        assert line in lines
    assert flomo("models", "promote", NAME, "--despite-gate")[0] == (
        f"{NAME} is used for segmentation from now on. Undo this with: "
        f"flomo models rollback {DEFAULT_MODEL}\n"
    )
    assert flomo("models", "rollback")[0] == f"{DEFAULT_MODEL} is in use again.\n"
    refused("models", "rollback")


def test_the_image_chooses_its_specialist(
    answer: Answer,
    flomo: Callable[..., tuple[str, str]],
    candidate: Callable[..., Path],
    stack: Path,
    tmp_path: Path,
) -> None:
    parent = load_card(DEFAULT_MODEL)
    statistics = image_signature(read(stack), parent)
    signature = fit_signature([statistics], parent=parent.signature, title="LGE")
    answer("models", "promote", candidate("passed", "It is better.", signature=signature))
    assert f"{NAME}  tuned, specialist, LGE" in flomo("models", "list")[0]
    stranger = tmp_path / "stranger.nii.gz"
    noise = np.random.default_rng(0).integers(0, 900, (3, 160, 160), np.int16)
    write(Volume(noise, Geometry((1.5, 1.5, 8.0))), stranger)

    def used(source: Path, *options: object) -> tuple[str, str | None]:
        labels = tmp_path / "labels.nii.gz"
        manifest = answer("segment", source, "-o", labels, *options)["manifest"]
        return manifest["model"]["name"], manifest.get("choice", {}).get("reason")

    assert used(stack) == (NAME, "nearest")
    assert used(stranger) == (DEFAULT_MODEL, "stranger")
    assert used(stack, "--model", DEFAULT_MODEL) == (DEFAULT_MODEL, None)
    assert used(stranger, "--model", NAME) == (NAME, None)
    said = flomo("segment", stack, "-o", tmp_path / "labels.nii.gz")[0]
    assert "LGE specialist, chosen by the image" in said

    images = tmp_path / "images"
    images.mkdir()
    for path in (stack, stranger):
        shutil.copy(path, images)

    def cohort(name: str) -> dict[str, tuple[str, str]]:
        out = tmp_path / name
        flomo("segment-many", images, "--out", out, "--workers", 1)
        with (out / "cohort.csv").open(newline="") as stream:
            return {row["study"]: (row["model"], row["remarks"]) for row in csv.DictReader(stream)}

    whole = cohort("whole")
    assert [whole[name][0] for name in ("stack.nii.gz", "stranger.nii.gz")] == [NAME, DEFAULT_MODEL]
    weights = locate(NAME) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert used(stack) == (DEFAULT_MODEL, "failed")
    warning = flomo("segment", stack, "-o", tmp_path / "labels.nii.gz", "-q")[1]
    assert f"Warning: LGE suits the image, but {DEFAULT_MODEL} was used: " in warning
    model, remarks = cohort("damaged")["stack.nii.gz"]
    assert model == DEFAULT_MODEL
    assert "LGE suits the image" in remarks
