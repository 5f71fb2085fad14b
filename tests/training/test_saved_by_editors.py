"""Data folders, recipes, rules and settings saved by editors or spreadsheets."""

from __future__ import annotations

import json

import pytest

from flomo_training.cases import read_case_rows
from flomo_training.evaluate import read_listed_volumes
from flomo_training.finetuning.settings import read_settings
from flomo_training.folds import Folds, read_folds
from flomo_training.gate.rules import Rules, read_rules
from flomo_training.preparation import MANIFEST_FILE, data_name
from flomo_training.recipe import locate_recipe, read_recipe


@pytest.fixture(params=["utf-8-sig", "utf-16"])
def save(request):
    def write(path, text):
        path.write_bytes(text.replace("\n", "\r\n").encode(request.param))
        return path

    return write


def test_a_data_folder(save, tmp_path):
    text = "case;patient;phase;lv_ml\np1_ED;p1;ED;139,72\np1_ES;p1;ES;60\n;;;\n"
    save(tmp_path / "cases.csv", text)
    assert [row["case"] for row in read_case_rows(tmp_path)] == ["p1_ED", "p1_ES"]
    listed = read_listed_volumes(tmp_path)
    assert sorted(listed.values()) == [60.0, 139.72]
    save(tmp_path / MANIFEST_FILE, json.dumps({"data": "ACDC official"}, indent=1))
    assert data_name(tmp_path) == "acdc"
    folds = Folds((("p1",), ("p2",)))
    save(tmp_path / "folds.json", folds.text())
    assert read_folds(tmp_path) == folds


def test_recipes_rules_and_settings(save, tmp_path):
    recipe = locate_recipe("acdc")
    assert read_recipe(save(tmp_path / "acdc.yaml", recipe.read_text())) == read_recipe(recipe)
    assert read_rules(save(tmp_path / "rules.yaml", "# none\n")) == Rules()
    assert read_settings(save(tmp_path / "own.yaml", "# mine\n{}\n")) == read_settings()
