"""Tuned models: install, promote, roll back and remove.

The weights are a few arbitrary bytes, which are never parsed here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import (
    in_use,
    info,
    install_candidate,
    list_models,
    load_card,
    locate,
    promote,
    promotions,
    remove,
    rollback,
    tuned,
    verify,
)

pytestmark = pytest.mark.usefixtures("home", "base")

Make = Callable[..., Path]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stack() -> list[str]:
    return [promotion.name for promotion in promotions("base")]


def states() -> dict[str, str]:
    return {state.name: state.state for state in list_models()}


def promote_two(candidate: Make) -> None:
    """Promote a candidate, and one that was tuned from it."""
    for name, parent in (("one", "base"), ("two", "one")):
        install_candidate(candidate(name, parent, parent.encode()))
        promote(name)


def test_install_candidate(candidate: Make, home: Path) -> None:
    source = candidate("base.tuned-1")
    assert install_candidate(source) == "base.tuned-1"
    folder = locate("base.tuned-1")
    assert folder == home / "tuned" / "base.tuned-1"
    assert (folder / "gate" / "report.json").is_file()
    assert not (folder / "gate" / "secret.pkl").exists(), "only files of the gate are copied"
    assert load_card("base.tuned-1").parent == f"base {sha256(b'base')}"
    state, card = info("base.tuned-1")
    assert (state.place, state.state, state.parent) == ("tuned", "candidate", "base")
    assert card.name == "base.tuned-1"
    assert in_use("base") == "base", "a candidate is not in use"
    verified = {result.name: result.problem for result in verify()}
    assert verified == {"base": None, "base.tuned-1": None}
    assert remove("base.tuned-1") > 0
    assert [state.name for state in list_models()] == ["base"]
    with pytest.raises(FlomoError, match=r"no model named 'base.tuned-1'; did you mean 'base'"):
        locate("base.tuned-1")


def test_a_candidate_is_installed_whole_or_not_at_all(
    candidate: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = candidate("one")
    copy = shutil.copyfile

    def full(origin: Path, target: Path) -> None:
        if target.name == "report.json":
            raise OSError(28, "No space left on device", str(target))
        copy(origin, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(FlomoError, match="disk is full"):
        install_candidate(source)
    assert {path.name for path in (home / "tuned").iterdir()} <= {".lock"}
    monkeypatch.setattr(shutil, "copyfile", lambda a, b: b.write_bytes(a.read_bytes()[:-1]))
    with pytest.raises(FlomoError):
        install_candidate(source)
    assert tuned.names() == []


def test_leftovers_of_killed_processes_are_removed(candidate: Make, home: Path) -> None:
    for name in (".flomo-0123456789ab", ".removed-7-one"):
        (home / "tuned" / name / "gate").mkdir(parents=True)
    install_candidate(candidate("one"))
    assert {path.name for path in (home / "tuned").iterdir()} == {".lock", "one"}


def test_only_one_of_several_concurrent_promotions_succeeds(candidate: Make) -> None:
    siblings = [f"sibling-{number}" for number in range(4)]
    sources = [candidate(name) for name in siblings]

    def try_it(source: Path) -> str | None:
        try:
            promote(install_candidate(source))
        except FlomoError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(try_it, sources))
    assert said.count(None) == 1
    winner = siblings[said.index(None)]
    assert in_use("base") == winner
    assert all(f"train again from {winner}." in sentence for sentence in said if sentence)


def test_invalid_candidates_are_refused(candidate: Make, put: Make, tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="has no parent"):
        install_candidate(put(tmp_path / "out" / "orphan", b"x"))
    with pytest.raises(FlomoError, match="name of another model"):
        install_candidate(candidate("base"))
    broken = candidate("broken")
    (broken / "model.safetensors").write_bytes(b"other")
    with pytest.raises(FlomoError, match="SHA-256"):
        install_candidate(broken)
    with pytest.raises(FlomoError, match="no model folder"):
        install_candidate(tmp_path / "nowhere")


def test_reinstalling_the_same_weights_updates_the_report(candidate: Make, put: Make) -> None:
    source = candidate("one", verdict="refused")
    install_candidate(source)
    with pytest.raises(FlomoError, match=r"one did not pass the gate: Dice on the reference fell"):
        promote("one")
    candidate("one")
    assert install_candidate(source) == "one"
    assert promote("one") == "base"
    with pytest.raises(FlomoError, match="already in use"):
        install_candidate(source)
    put(source, b"other weights", parent="base x")
    with pytest.raises(FlomoError, match="remove it first"):
        install_candidate(source)
    assert in_use("base") == "one"


def test_promote_and_rollback(candidate: Make, home: Path) -> None:
    install_candidate(candidate("one"))
    assert promote("one") == "base"
    install_candidate(candidate("two", "one", b"one"))
    assert promote("two") == "base"
    assert in_use("base") == "two"
    assert in_use("one") == "one", "an explicit name means that model"
    assert states() == {"base": "replaced", "one": "replaced", "two": "in use"}
    assert promote("two") == "base", "promoting twice changes nothing"
    assert stack() == ["one", "two"]
    with pytest.raises(FlomoError, match="flomo models rollback base"):
        remove("one")
    assert rollback("base") == "one"
    assert rollback("base") == in_use("base") == "base"
    with pytest.raises(FlomoError, match="No model was promoted for base"):
        rollback("base")
    assert states() == {"base": "", "one": "candidate", "two": "candidate"}
    assert json.loads((home / "tuned" / "in_use.json").read_text())["bases"] == {}
    promote("one")
    assert rollback("one") == "base", "a promoted model stands for its base here"


def test_only_models_that_passed_the_gate_are_promoted(candidate: Make) -> None:
    install_candidate(candidate("unjudged", gate=None))
    with pytest.raises(FlomoError, match="has not been compared"):
        promote("unjudged")
    judged = {"verdict": "passed", "sha256": "0" * 64, "parent_sha256": sha256(b"base")}
    install_candidate(candidate("other", gate=judged))
    with pytest.raises(FlomoError, match="compared other weights"):
        promote("other")
    install_candidate(candidate("worse", verdict="refused"))
    with pytest.raises(FlomoError, match="worse did not pass the gate"):
        promote("worse")
    assert in_use("base") == "base"
    promote("worse", despite_gate=True)
    assert [(entry.name, entry.despite_gate) for entry in promotions("base")] == [("worse", True)]
    rollback("base")
    install_candidate(candidate("good"))
    promote("good", despite_gate=True)
    assert not promotions("base")[0].despite_gate, "it passed, so nothing was overridden"
    with pytest.raises(FlomoError, match="no tuned model base"):
        promote("base")


def test_the_parent_was_replaced_since(candidate: Make, put: Make, base: Path) -> None:
    for name in ("one", "two"):
        install_candidate(candidate(name))
    promote("one")
    with pytest.raises(FlomoError, match=r"but one has replaced it since.*train again from one\."):
        promote("two")
    with pytest.raises(FlomoError, match="train again from one"):
        promote("two", despite_gate=True)
    rollback("base")
    put(base, b"a newer base")
    with pytest.raises(FlomoError, match=r"a newer base has replaced .*train again from base\."):
        promote("two")
    assert in_use("base") == "base"


def test_a_base_that_is_not_on_this_computer(candidate: Make) -> None:
    install_candidate(candidate("one", "elsewhere", b"elsewhere"))
    assert promote("one") == "elsewhere"
    assert in_use("elsewhere") == "one"


@pytest.mark.parametrize("fault", ["weights", "card", "gone", "swapped"])
def test_a_damaged_model_is_skipped(
    candidate: Make, home: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    promote_two(candidate)
    folder = home / "tuned" / "two"
    if fault == "weights":
        (folder / "model.safetensors").write_bytes(b"")
    elif fault == "card":
        (folder / "card.json").write_text("{")
    elif fault == "gone":
        shutil.rmtree(folder)
    else:
        weights = b"consistent, but not what was promoted"
        card = json.loads((folder / "card.json").read_text()) | {"sha256": sha256(weights)}
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "model.safetensors").write_bytes(weights)
    with caplog.at_level(logging.WARNING):
        assert in_use("base") == "one"
    assert "two is not used: " in caplog.text
    install_candidate(candidate("three", "one", b"one"))
    promote("three")
    assert stack() == ["one", "three"], "a damaged model does not return"
    assert rollback("base") == "one"


def test_rollback_skips_damaged_models(candidate: Make, home: Path) -> None:
    promote_two(candidate)
    shutil.rmtree(home / "tuned" / "two")
    assert in_use("base") == "one"
    assert rollback("base") == "base", "the model in use changes, not only the file"


def test_damaged_promotions(candidate: Make, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    install_candidate(candidate("one"))
    promote("one")
    for content in ("{", '{"bases": {"base": [{"name": 3}]}}', '{"bases": {}, "schema": 9}'):
        (home / "tuned" / "in_use.json").write_text(content)
        caplog.clear()
        assert in_use("base") == "base"
        assert "delete it to start again" in caplog.text
        for change in (lambda: promote("one"), lambda: rollback("base"), lambda: remove("one")):
            with pytest.raises(FlomoError, match="delete it to start again"):
                change()
        assert set(states()) == {"base", "one"}


def test_circular_parents(candidate: Make) -> None:
    for name, parent in (("one", "two"), ("two", "one")):
        install_candidate(candidate(name, parent, parent.encode()))
    with pytest.raises(FlomoError, match="name each other as parents"):
        promote("one")
