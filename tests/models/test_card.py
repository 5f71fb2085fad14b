"""Model cards are validated strictly and survive a round trip through their file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import (
    Concept,
    IntensityRule,
    Label,
    ModelCard,
    Preprocessing,
    Signature,
)
from napari_flomo.models.card import card_text, read_card

HASH = "0123456789abcdef" * 4
LATER_FIELDS = {"lineage", "gate", "signature", "graph"}


def stored(card: ModelCard, path: Path) -> Path:
    path.write_text(card_text(card.with_sha256(HASH)), encoding="utf-8")
    return path


def test_round_trip(card: ModelCard, tmp_path: Path) -> None:
    labels = (*card.labels[:3], Label(3, "Höhle", "#d62728", Concept("87878005", "LV")))
    full = replace(card, labels=labels, parent="base 0123", created="2026-01-31", protocol="5-fold")
    assert read_card(stored(full, tmp_path / "card.json")) == full.with_sha256(HASH)


def test_hash_depends_on_content_not_formatting(card: ModelCard, tmp_path: Path) -> None:
    path = stored(card, tmp_path / "card.json")
    known = read_card(path).card_hash
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_card(path).card_hash == known
    assert replace(card, temperature=1.5).card_hash != card.card_hash
    assert card.with_sha256(HASH).card_hash != card.card_hash


def test_later_fields_do_not_change_old_hashes(card: ModelCard, tmp_path: Path) -> None:
    lineage = {"parent": {"name": "base", "sha256": HASH}, "slices": 7}
    tuned = replace(card, lineage=lineage)
    assert read_card(stored(tuned, tmp_path / "card.json")).lineage == lineage
    assert tuned.card_hash != card.card_hash
    signature = Signature("statistics", (0.5, 2.0), ((1.0, 0.1), (0.1, 1.0)), 1.5, 7, "LGE")
    special = replace(card, signature=signature)
    assert "[0.1, 1.0]" in stored(special, tmp_path / "card.json").read_text()
    assert read_card(tmp_path / "card.json").signature == signature
    assert special.card_hash == card.card_hash
    seeing = replace(card, in_channels=3, preprocessing=replace(card.preprocessing, neighbours=1))
    assert seeing.card_hash != replace(card, in_channels=3).card_hash
    # The hash that cards had before these fields; stores of corrections refer to it.
    content = {key: value for key, value in card.to_dict().items() if key not in LATER_FIELDS}
    del content["preprocessing"]["neighbours"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert card.card_hash == hashlib.sha256(text.encode()).hexdigest()


def change(*path: str | int, to: Any = None) -> Callable[[dict[str, Any]], None]:
    def apply(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = to

    return apply


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def apply(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        del content[path[-1]]

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change("colour", to=1), "'colour' is unknown"),
        (change("preprocessing", "pixels", to=1), "'preprocessing.pixels' is unknown"),
        (drop("network"), "'network' is missing"),
        (drop("preprocessing", "crop"), "'preprocessing.crop' is missing"),
        (drop("labels", 1, "name"), r"'labels\[1\].name' is missing"),
        (drop("sha256"), "'sha256' is missing"),
        (change("in_channels", to="1"), "'in_channels' must be a whole number, not \"1\""),
        (change("in_channels", to=True), "'in_channels' must be a whole number, not true"),
        (change("in_channels", to=1.0), "'in_channels' must be a whole number"),
        (change("temperature", to=None), "'temperature' must be a number, not null"),
        (change("labels", to={}), "'labels' must be a list"),
        (change("labels", 1, to="RV"), r"'labels\[1\]' must be an object"),
        (change("labels", 1, "code", to=256), r"in 'labels\[1\]': 'code' must be 0 to 255"),
        (change("labels", 1, "code", to=2), "must not repeat a code"),
        (change("labels", 0, "code", to=9), "must begin with the background"),
        (change("labels", 1, "colour", to="red"), "'colour' must look like"),
        (change("activation", to="relu"), "'activation' must be 'softmax' or 'sigmoid'"),
        (change("input_kind", to=0), "'input_kind' must be"),
        (change("preprocessing", "intensity", "rule", to="z"), "'preprocessing.intensity.rule'"),
        (change("preprocessing", "intensity", "low", to=99.9), "ascending order"),
        (change("preprocessing", "pixel_mm", to=0), "'pixel_mm' must be"),
        (change("preprocessing", "pixel_mm", to="1"), "'preprocessing.pixel_mm' must be a number"),
        (change("preprocessing", "crop", to=8), "'crop' must be"),
        (change("name", to="../x"), "'name' must consist of"),
        (change("threshold", to=1), "'threshold' must lie"),
        (change("temperature", to=0), "'temperature' must be"),
        (change("sha256", to="ABC"), "'sha256' must be 64"),
        (change("schema", to=2), "newer layout 2, so update"),
        (change("schema", to="1"), "'schema' must be 1"),
        (change("network_arguments", to=[]), "'network_arguments' must be an object"),
    ],
)
def test_error_names_the_invalid_key(
    card: ModelCard, tmp_path: Path, spoil: Callable[[Any], None], message: str
) -> None:
    path = stored(card, tmp_path / "card.json")
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(FlomoError, match=message) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"name": "a", "name": "b"}',
        b'{"temperature": NaN}',
        b"[" * 100_000,
    ],
)
def test_invalid_json(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(text)
    with pytest.raises(FlomoError, match="is not valid: it"):
        read_card(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match=r"card\.json is missing"):
        read_card(tmp_path / "card.json")
    with pytest.raises(FlomoError, match="cannot be read"):
        read_card(tmp_path)


def test_fields_with_defaults_are_optional(card: ModelCard) -> None:
    content = card.to_dict()
    for key in ("temperature", "threshold", "parent", "metrics", "protocol", "created", "schema"):
        del content[key]
    del content["preprocessing"]["intensity"]["per"]
    assert ModelCard.from_dict(content) == replace(card, metrics={})


def test_classes(card: ModelCard) -> None:
    assert card.num_classes == 4
    sigmoid = replace(card, activation="sigmoid")
    assert sigmoid.num_classes == 3
    assert [label.code for label in sigmoid.classes] == [1, 2, 3]


def test_values_are_checked_in_python_too() -> None:
    rule = IntensityRule("percentile", 1, 99)
    with pytest.raises(FlomoError, match="pixel_mm"):
        Preprocessing(-1, None, rule)
