"""``flomo models promote`` and ``rollback``, and the default model of ``flomo segment``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import DEFAULT_MODEL, cli
from napari_flomo.models import load_card
from napari_flomo.models.card import card_text

Answer = Callable[..., dict[str, Any]]


@pytest.fixture
def answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Answer:
    """Run ``flomo ... --json`` with an empty home and return what it prints."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> dict[str, Any]:
        assert cli.main([*arguments, "--json"]) == 0, capsys.readouterr().err
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return run


@pytest.fixture
def candidate(model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a small model whose card names the default model as its parent."""

    def write(verdict: str, reason: str) -> Path:
        card, parent = load_card(model), load_card(DEFAULT_MODEL)
        gate = {
            "verdict": verdict,
            "reasons": [reason],
            "sha256": card.sha256,
            "parent_sha256": parent.sha256,
        }
        card = replace(
            card,
            name=f"{DEFAULT_MODEL}.tuned-1",
            parent=f"{parent.name} {parent.sha256}",
            lineage={"slices": 7, "groups": 2},
            gate=gate,
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
    name = f"{DEFAULT_MODEL}.tuned-1"
    promoted = answer("models", "promote", str(candidate("passed", "It is better.")))
    assert promoted == {"base": DEFAULT_MODEL, "in_use": name}
    segment = ("segment", str(stack), "-o", str(tmp_path / "labels.nii.gz"))
    assert answer(*segment)["manifest"]["model"]["name"] == name
    explicit = answer(*segment, "--model", DEFAULT_MODEL)
    assert explicit["manifest"]["model"]["name"] == DEFAULT_MODEL, "a name means that model"
    states = {state["name"]: state for state in answer("models", "list")["models"]}
    assert (states[name]["place"], states[name]["state"]) == ("tuned", "in use")
    assert states[DEFAULT_MODEL]["state"] == "replaced"
    assert answer("models", "rollback") == {"base": DEFAULT_MODEL, "in_use": DEFAULT_MODEL}
    assert answer(*segment)["manifest"]["model"]["name"] == DEFAULT_MODEL
    assert answer("models", "promote", name)["in_use"] == name, "it was not deleted"


def test_promotion_errors_give_the_reason(
    answer: Answer, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{DEFAULT_MODEL}.tuned-1"
    folder = candidate("refused", "Dice on the reference fell by 0.0400.")
    assert cli.main(["models", "promote", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said == f"flomo: {name} did not pass the gate: Dice on the reference fell by 0.0400.\n"
    assert cli.main(["models", "list"]) == 0
    assert f"{name}  tuned, candidate" in capsys.readouterr().out
    assert cli.main(["models", "info", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in ("    slices: 7", "  gate: refused", "    Dice on the reference fell by 0.0400."):
        assert line in lines
    assert cli.main(["models", "promote", name, "--despite-gate"]) == 0
    said = capsys.readouterr().out
    assert said == (
        f"{name} is now used for {DEFAULT_MODEL}; undo this with: "
        f"flomo models rollback {DEFAULT_MODEL}\n"
    )
    assert cli.main(["models", "rollback"]) == 0
    assert capsys.readouterr().out == f"{DEFAULT_MODEL} is in use again.\n"
    assert cli.main(["models", "rollback"]) == 2
