"""``flomo corrections``: text, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.volumes import Geometry, Volume

Run = Callable[..., tuple[str, str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(home: Path) -> CorrectionStore:
    """The default store with one correction."""
    store = CorrectionStore.open(home / "corrections", create=True)
    image = Volume(np.arange(160, dtype=np.int16).reshape(2, 8, 10), Geometry((1, 1, 8)))
    labels = image.with_data(np.eye(8, 10, dtype=np.uint8) * np.ones((2, 1, 1), np.uint8))
    model = ModelReference("flomo-b0-acdc", "ab" * 32)
    correction = Correction(
        image, labels, {1: "LV"}, labels, [(0, 1)], "accepted", reader="anna", model=model
    )
    store.add(correction)
    return store


@pytest.fixture
def run(flomo: Callable[..., tuple[str, str]]) -> Run:
    """Run ``flomo corrections``."""
    return partial(flomo, "corrections")


def test_list_and_show(store: CorrectionStore, run: Run) -> None:
    (record,) = store.records()
    out, _ = run("list")
    head, row = out.splitlines()
    assert head.split() == ["id", "revision", "state", "model", "seen", "changed", "reader"]
    assert row.split() == [record.id, "1", "accepted", "flomo-b0-acdc", "1", "0", "anna"]
    listed = json.loads(run("list", "--json")[0])
    assert listed["corrections"][0]["seen"] == [[0, 1]]
    assert listed["left_out"] == []
    out, _ = run("show", record.id)
    for text in ("revision 1 of 1", "accepted, by anna", "1 LV", "(0, 1)", "changed", "none"):
        assert text in out
    shown = json.loads(run("show", record.id, "--json")[0])
    assert shown["correction"]["model"] == {"name": "flomo-b0-acdc", "card_sha256": "ab" * 32}
    assert shown["revisions"] == [1]


def test_verify(store: CorrectionStore, run: Run) -> None:
    assert "1 corrections" in run("verify")[0]
    (record,) = store.records()
    (store.folder / record.corrected.file).write_bytes(b"")
    out, _ = run("verify", code=2)
    assert out.startswith("changed file: ")
    report = json.loads(run("verify", "--json", code=2)[0])
    assert report["findings"][0]["id"] == record.id


def test_damaged_record_is_noted_on_stderr(store: CorrectionStore, run: Run) -> None:
    (record,) = store.records()
    (store.folder / "corrections" / record.id / "revision-0001.json").write_text("{")
    out, err = run("list")
    assert "no corrections" in out
    assert err.startswith("flomo: The record")


def test_export_import_remove(store: CorrectionStore, tmp_path: Path, run: Run) -> None:
    target = tmp_path / "Dataset501_X"
    assert "Wrote 1" in run("export", target, "--format", "nnunet")[0]
    assert (target / "dataset.json").is_file()
    report = json.loads(run("export", tmp_path / "b", "--format", "bids", "--json")[0])
    assert report["export"]["cases"] == 1
    other = tmp_path / "other"
    for added, known in ((1, 0), (0, 1)):
        out, _ = run("import", store.folder, "--store", other)
        assert out.startswith(f"Added {added}; {known} were known")
    report = json.loads(run("import", target, "--store", other, "--json")[0])
    assert report["import"] == {"added": 1, "known": 0, "skipped": []}
    (record,) = store.records()
    assert record.id in run("remove", record.id)[0]
    assert store.records() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("list", "--store", "nowhere"), "not a store"),
        (("show", "0123456789abcdef"), "no correction"),
        (("show", "../.."), "not the id"),
        (("export", "x", "--format", "bids", "--state", "draft"), "nothing to export"),
        (("import", "nowhere"), "nothing to import"),
    ],
)
@pytest.mark.usefixtures("store", "elsewhere")
def test_errors_are_one_sentence(
    tmp_path: Path, refused: Callable[..., str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused("corrections", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.usefixtures("elsewhere")
def test_failed_import_creates_no_store(tmp_path: Path, run: Run) -> None:
    assert "nothing to import" in run("import", tmp_path, code=2)[1]
    assert list(tmp_path.iterdir()) == []
