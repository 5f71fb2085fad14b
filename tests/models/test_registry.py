"""Models from the Hub: pinned, verified, cached, usable offline, never incomplete.

The weights are a few kilobytes of arbitrary bytes, which downloads and verification do not parse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import (
    cache,
    checksums,
    index,
    info,
    list_models,
    load_card,
    load_network,
    locate,
    pull,
    remove,
    verify,
)
from napari_flomo.progress import Progress

Publish = Callable[..., str]
Pin = Callable[..., None]

pytestmark = pytest.mark.usefixtures("home")

WEIGHTS = bytes(range(256)) * 40  # as `publish` writes them


@pytest.fixture
def pin(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pin:
    """Write an index that pins a name to the content of the Hub, or leaves it unpublished."""

    def write(name: str, repo: str, commit: str | None, **changes: Any) -> None:
        files = {
            key: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for key, content in (hub.repositories[repo].commits[commit] if commit else {}).items()
        }
        entry = {"name": name, "summary": "hearts", "repo": repo, "revision": commit}
        entry["files"] = files
        path = tmp_path / f"index{len(list(tmp_path.glob('index*')))}.json"
        path.write_text(json.dumps({"models": [entry | changes]}))
        monkeypatch.setattr(index, "INDEX", path)

    return write


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("card.json", "model.safetensors")}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pull_at_a_commit(hub: Any, publish: Publish, home: Path) -> None:
    commit = publish()
    source = f"hf:team/heart@{commit}"
    shown: list[Progress] = []
    folder = pull(source, shown.append)
    assert folder == home / "models" / "team--heart" / commit
    assert contents(folder) == hub.repositories["team/heart"].commits[commit]
    assert (shown[-1].done, shown[-1].total) == (len(WEIGHTS), len(WEIGHTS))
    assert load_card(source).name == "heart"

    asked = len(hub.seen)
    assert pull(source) == locate(source) == folder
    assert len(hub.seen) == asked, "verified files need no request"

    (state,) = list_models()
    assert (state.place, state.name, state.folder) == ("fetched", source, folder)
    assert state.summary == "right ventricle, myocardium, left ventricle"
    assert info(source)[0] == state


def test_a_branch_moves_only_when_pulled(hub: Any, publish: Publish) -> None:
    first = publish()
    assert locate("hf:team/heart").name == first
    second = publish(weights=WEIGHTS + b"more")
    asked = len(hub.seen)
    assert locate("hf:team/heart").name == first
    assert len(hub.seen) == asked
    assert pull("hf:team/heart").name == second
    assert locate("hf:team/heart").name == locate("hf:team/heart@main").name == second
    assert pull(f"hf:team/heart@{first}").name == first, "the older one stays"
    hub.repositories["team/heart"].refs["releases/v1"] = first
    assert locate("hf:team/heart@releases/v1").name == first


def test_names_of_the_index_are_pinned(publish: Publish, pin: Pin) -> None:
    commit = publish()
    pin("heart", "team/heart", commit)
    assert [state.place for state in list_models()] == ["online"]
    publish(weights=b"a later model", name="later")
    assert load_card("heart").name == "heart"
    assert locate("heart").name == commit
    (state,) = list_models()
    assert (state.name, state.place) == ("heart", "fetched")
    assert load_card("heart@main").name == "later", "an explicit revision"


def test_the_index_overrides_the_hub(hub: Any, publish: Publish, pin: Pin) -> None:
    """A repository that was taken over is consistent in itself, but has the wrong hashes."""
    commit = publish()
    pin("heart", "team/heart", commit)
    evil = bytes(reversed(WEIGHTS))
    card = json.loads(hub.repositories["team/heart"].commits[commit]["card.json"])
    card["sha256"] = hashlib.sha256(evil).hexdigest()
    text = (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode()
    hub.repositories["team/heart"].commits[commit] = {"card.json": text, "model.safetensors": evil}
    for source in ("heart", f"hf:team/heart@{commit}"):
        with pytest.raises(FlomoError, match=r"card\.json"):
            pull(source)
    folder = cache.repo_folder("team/heart") / commit
    assert not names(folder) & {"card.json", "model.safetensors", "origin.json"}


def test_old_files_are_verified_against_a_new_index(publish: Publish, pin: Pin) -> None:
    """Files that were downloaded before the index pinned them are compared with the index."""
    commit = publish()
    folder = pull(f"hf:team/heart@{commit}")
    pin("heart", "team/heart", commit)
    (folder / "model.safetensors").write_bytes(bytes(len(WEIGHTS)))
    forged = checksums.fingerprint(folder / "model.safetensors")
    origin = json.loads((folder / "origin.json").read_text())
    origin["files"]["model.safetensors"] = vars(forged)
    (folder / "origin.json").write_text(json.dumps(origin))
    assert locate("heart") == folder
    assert contents(folder)["model.safetensors"] == WEIGHTS
    assert "model.safetensors.bad" in names(folder)


def test_not_published_yet(publish: Publish, pin: Pin, hub: Any) -> None:
    publish()
    pin("heart", "team/heart", None)
    for call in (pull, locate):
        with pytest.raises(FlomoError, match="heart is not published on the Hub yet"):
            call("heart")
    assert [state.place for state in list_models()] == ["unpublished"]
    assert not hub.seen


def test_weights_that_their_card_does_not_describe(hub: Any, publish: Publish) -> None:
    commit = publish()
    hub.repositories["team/heart"].commits[commit]["model.safetensors"] = b"something else"
    with pytest.raises(FlomoError, match="not those that their card describes"):
        locate("hf:team/heart")
    folder = cache.repo_folder("team/heart") / commit
    assert "model.safetensors" not in names(folder)
    assert "origin.json" not in names(folder)
    assert list_models() == []


def test_weights_of_an_invalid_card_are_not_downloaded(hub: Any) -> None:
    hub.add("team/heart", {"card.json": b'{"name": "x"}', "model.safetensors": WEIGHTS})
    with pytest.raises(FlomoError, match=r"card\.json is not valid: the key 'network' is missing"):
        pull("hf:team/heart")
    assert not [seen for seen in hub.bodies() if "safetensors" in seen.path]


@pytest.mark.parametrize("switch", ["FLOMO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(
    hub: Any, publish: Publish, pin: Pin, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    commit = publish()
    pin("heart", "team/heart", commit)
    with_cache = ["heart", "hf:team/heart", f"hf:team/heart@{commit}"]
    folder = pull("heart")
    pull("hf:team/heart")
    asked = len(hub.seen)
    monkeypatch.setenv(switch, "1")
    assert {locate(model) for model in with_cache} == {folder}
    assert [result.problem for result in verify()] == [None]
    for without_cache in ("hf:team/other", "hf:team/heart@v2", f"hf:team/heart@{'0' * 40}"):
        with pytest.raises(FlomoError, match=f"{switch} forbids network access; unset {switch}"):
            locate(without_cache)
    assert len(hub.seen) == asked


def test_changed_weights_are_renamed(publish: Publish) -> None:
    source = f"hf:team/heart@{publish()}"
    folder = pull(source)
    path = folder / "model.safetensors"
    path.write_bytes(WEIGHTS[:-1] + b"?")  # of the right length
    with pytest.raises(FlomoError, match=f"damaged or were changed.*flomo models pull {source}"):
        load_network(source)
    assert names(folder) >= {"model.safetensors.bad"}
    assert not path.exists()
    assert locate(source) == folder, "it is downloaded again"
    assert path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("offline", [False, True])
def test_a_changed_card_is_renamed(
    publish: Publish, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    """A changed temperature or label would change every result, and no hash of weights shows it."""
    source = f"hf:team/heart@{publish()}"
    folder = pull(source)
    path = folder / "card.json"
    genuine = path.read_text()
    path.write_text(genuine.replace('"temperature": 1.0', '"temperature": 9.0'))
    if offline:
        monkeypatch.setenv("FLOMO_OFFLINE", "1")
        with pytest.raises(FlomoError, match="FLOMO_OFFLINE"):
            load_card(source)
        assert not path.exists()
    else:
        assert load_card(source).temperature == 1.0
        assert path.read_text() == genuine
    assert (folder / "card.json.bad").exists()


def test_own_folders_are_not_changed(publish: Publish, tmp_path: Path) -> None:
    """Not even one with an ``origin.json``: only files in the cache may be renamed."""
    folder = pull(f"hf:team/heart@{publish()}")
    copy = tmp_path / "mine"
    copy.mkdir()
    for name in names(folder):
        (copy / name).write_bytes((folder / name).read_bytes())
    (copy / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(FlomoError, match="get the model again"):
        load_network(copy)
    (result,) = verify([str(copy)])
    assert result.problem
    assert (copy / "model.safetensors").read_bytes() == b"changed"
    with pytest.raises(FlomoError, match="is a folder of your own"):
        pull(str(copy))


def test_verify(publish: Publish) -> None:
    good = f"hf:team/heart@{publish()}"
    bad = f"hf:team/lung@{publish('team/lung', name='lung')}"
    pull(good)
    weights = pull(bad) / "model.safetensors"
    assert [result.problem for result in verify()] == [None, None]
    weights.write_bytes(WEIGHTS[:-1])
    problems = {result.name: result.problem for result in verify()}
    assert problems[good] is None
    assert f"flomo models pull {bad}" in str(problems[bad])
    assert not weights.exists()
    assert verify([bad])[0].problem, "it stays wrong until it is downloaded again"
    with pytest.raises(FlomoError, match="is not on this computer; download it with"):
        verify(["hf:team/other"])


def test_remove(publish: Publish, pin: Pin, home: Path) -> None:
    first = publish()
    pull(f"hf:team/heart@{first}")
    second = publish(weights=b"2" * 5000)
    pin("heart", "team/heart", second)
    pull("heart")
    pull("hf:team/lung@" + publish("team/lung"))

    freed = remove(f"hf:team/heart@{first}")
    assert freed > len(WEIGHTS)
    assert len(list_models()) == 2
    with pytest.raises(FlomoError, match="was not downloaded"):
        remove(f"hf:team/heart@{first}")
    remove("heart")
    assert [state.place for state in list_models()] == ["online", "fetched"]
    with pytest.raises(FlomoError, match="was not downloaded"):
        remove("heart")
    assert not (home / "models" / "team--heart").exists()
    assert locate("heart").name == second, "it can be downloaded again"


def test_remove_touches_nothing_else(make_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_model(name="mine")
    with pytest.raises(FlomoError, match="was not downloaded"):
        remove(str(folder))
    with pytest.raises(FlomoError, match="does not name a model on the Hub"):
        remove("hf:../..")
    assert folder.exists()


def test_an_interrupted_pull_is_no_model(publish: Publish) -> None:
    source = f"hf:team/heart@{publish()}"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(source, interrupt)
    assert list_models() == []
    with pytest.raises(FlomoError, match="is not on this computer; download it with"):
        info(source)
    assert contents(pull(source))["model.safetensors"] == WEIGHTS


def test_cache_cannot_be_written(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "file"))
    source = f"hf:team/heart@{publish()}"
    assert list_models() == []
    with pytest.raises(FlomoError, match=str(tmp_path / "file")):
        pull(source)
    with pytest.raises(FlomoError, match="was not downloaded"):
        remove(source)
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    refs = pull(source).parent / "refs"
    refs.write_text("in the way")
    with pytest.raises(FlomoError, match="refs could not be written"):
        pull("hf:team/heart")


def test_read_only_cache(publish: Publish, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shared cache that users cannot write, right files are used and wrong ones refused."""
    source = f"hf:team/heart@{publish()}"
    folder = pull(source)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("rename", "replace", "mkdir", "touch", "unlink", "write_text"):
        monkeypatch.setattr(Path, name, refuse)
    assert locate(source) == folder
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(b"???")
    with pytest.raises(FlomoError, match="damaged or were changed"):
        load_network(source)
    assert "damaged or changed" in str(verify()[0].problem)
