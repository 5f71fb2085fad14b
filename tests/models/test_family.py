"""Specialists beside the base model: added, replaced, undone, and left out when damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import (
    AUTOMATIC,
    Signature,
    default_model,
    family,
    in_use,
    install_candidate,
    list_models,
    promote,
    promotions,
    rollback,
)

pytestmark = pytest.mark.usefixtures("home", "base")

Make = Callable[..., Path]


def signature(*centre: float, title: str = "") -> Signature:
    return Signature("statistics", centre, ((1.0, 0.0), (0.0, 1.0)), 1.5, 7, title)


LGE, T2 = signature(5, 0, title="LGE"), signature(0, 5, title="T2")


@pytest.fixture
def add(candidate: Make) -> Callable[..., str]:
    """Install and promote a candidate."""

    def add(name: str, parent: str = "base", **changes: object) -> str:
        install_candidate(candidate(name, parent, parent.encode(), **changes))
        return promote(name)

    return add


def specialists() -> list[str]:
    return [one.name for one in family("base").specialists]


def test_a_specialist_is_added_beside_its_parent(add: Callable[..., str]) -> None:
    assert default_model("base") == "base"
    assert add("lge", signature=LGE) == "base"
    assert add("t2", signature=T2) == "base"
    found = family("base")
    assert (found.parent, specialists(), found.problems) == ("base", ["lge", "t2"], ())
    assert (found.title("lge"), found.title("base")) == ("LGE", "base")
    assert in_use("base") == "base"
    assert default_model("base") == AUTOMATIC
    states = {state.name: (state.state, state.title) for state in list_models()}
    assert states == {
        "base": ("in use", ""), "lge": ("specialist", "LGE"), "t2": ("specialist", "T2")
    }  # fmt: skip
    assert promote("lge") == "base", "promoting twice changes nothing"
    assert len(promotions("base")) == 2
    rollback("base")
    assert specialists() == ["lge"]
    assert rollback("lge") == "base"
    assert default_model("base") == "base"


@pytest.mark.parametrize(
    ("parent", "kind"), [("lge", T2), ("base", signature(5.5, 0.5))], ids=["tuned from it", "alike"]
)
def test_a_newer_specialist_replaces_that_of_its_kind(
    add: Callable[..., str], parent: str, kind: Signature
) -> None:
    add("lge", signature=LGE)
    add("newer", parent, signature=kind)
    assert specialists() == ["newer"]
    with pytest.raises(FlomoError, match="but newer has replaced it since"):
        add("late", "lge", signature=LGE)
    rollback("base")
    assert specialists() == ["lge"]
    promote("newer")
    if parent == "base":
        promote("lge")
        assert specialists() == ["lge"], "the older one replaces the newer when promoted again"


def test_the_parent_can_be_replaced_beside_specialists(add: Callable[..., str]) -> None:
    add("lge", signature=LGE)
    add("general")
    assert (family("base").parent, specialists()) == ("general", ["lge"])
    assert rollback("base") == "base"
    assert specialists() == ["lge"]


@pytest.mark.parametrize("fault", ["card", "gone", "swapped"])
def test_a_damaged_specialist_is_left_out(
    add: Callable[..., str], candidate: Make, home: Path, fault: str
) -> None:
    add("lge", signature=LGE)
    add("t2", signature=T2)
    folder = home / "tuned" / "t2"
    if fault == "card":
        (folder / "card.json").write_text("{")
    elif fault == "gone":
        shutil.rmtree(folder)
    else:
        other = candidate("t2", parent="base", weights="others", signature=T2)
        shutil.copyfile(other / "card.json", folder / "card.json")
    found = family("base")
    assert specialists() == ["lge"]
    (problem,) = found.problems
    assert problem.startswith("The specialist t2 is not used: ")
    assert rollback("base") == "base"
    assert specialists() == [], "what is in use changes, not only the file"


def test_old_promotions_are_readable(home: Path, add: Callable[..., str]) -> None:
    add("one")
    file = home / "tuned" / "in_use.json"
    content = json.loads(file.read_text())
    for field in ("specialist", "replaces"):  # unknown before
        del content["bases"]["base"][0][field]
    file.write_text(json.dumps(content))
    assert in_use("base") == "one"
    add("lge", "one", signature=LGE)
    assert (in_use("base"), specialists()) == ("one", ["lge"])
