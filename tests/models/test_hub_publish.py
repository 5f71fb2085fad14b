"""Publishing a model with the real client: what is sent, what is not, and what comes back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from flomo_tests_hub_toy import (
    CARD,
    CONTENT,
    PINS,
    QUICK,
    REPO,
    assert_complete,
    sentence,
    wait_until,
)

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models.hub import (
    HubSource,
    download,
    upload,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    (folder / "secret-notes.txt").write_text("not for publication")
    return folder


def test_upload_then_download(hub: Any, model: Path, folder: Path) -> None:
    published = upload(model, "lab/heart", extra={"README.md": b"---\nlicense: mit\n---\nHi\n"})
    held = hub.repositories["lab/heart"]
    assert published.url == f"{hub.url}/lab/heart/commit/{published.commit}"
    assert set(held.commits[published.commit]) == {*CONTENT, "README.md", ".gitattributes"}
    assert not held.private
    assert len(held.commits) == 2, "the files did not come as one commit"
    assert download(HubSource("lab/heart"), folder, PINS, patience=QUICK) == published.commit
    assert_complete(folder)


def test_upload_again(hub: Any, model: Path) -> None:
    first = upload(model, "lab/heart", private=True)
    assert hub.repositories["lab/heart"].private
    (model / CARD).write_bytes(b"{}")
    second = upload(model, "lab/heart", private=True)
    assert first.commit != second.commit
    assert hub.repositories["lab/heart"].commits[second.commit][CARD] == b"{}"


def test_private_means_private(hub: Any, model: Path, commit: str) -> None:
    with pytest.raises(FlomoError) as caught:
        upload(model, REPO, private=True)
    sentence(caught, REPO, "everybody can read it", "nothing was sent")
    assert hub.repositories[REPO].refs["main"] == commit


def test_upload_without_a_token(hub: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, "HF_TOKEN")
    assert "lab/heart" not in hub.repositories


@pytest.mark.parametrize("status", [403, 500])
def test_upload_refused(hub: Any, model: Path, status: int) -> None:
    hub.faults.status, hub.faults.path = status, "/api/repos/create"
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, str(status))


def test_upload_to_a_page_to_log_in(hub: Any, model: Path) -> None:
    hub.faults.no_hub = True
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, "did not answer like a Hugging Face Hub")


def test_upload_of_no_model(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(FlomoError) as caught:
        upload(tmp_path, "lab/heart")
    sentence(caught, "holds no model")
    with pytest.raises(FlomoError) as caught:
        upload(tmp_path, "heart")
    sentence(caught, "organisation/name")
    assert not hub.seen


def test_what_the_hub_holds_is_compared(
    hub: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("lab/other", CONTENT)
    repository = type(hub.repositories["lab/other"])
    keep = repository.commit

    def lose(self: Any, files: dict[str, bytes], branch: str = "main") -> str:
        return keep(self, {name: content[:-1] for name, content in files.items()}, branch)

    monkeypatch.setattr(repository, "commit", lose)
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, "something else", "do not use")


@pytest.mark.parametrize("route", ["/api/repos/create", "/batch", "/storage/", "/commit/"])
def test_upload_cancelled_while_the_server_stalls(hub: Any, model: Path, route: str) -> None:
    hub.faults.stall_path = route
    pressed: list[float] = []

    def cancelled() -> bool:
        if any(route in seen.path for seen in hub.seen) and not pressed:
            pressed.append(time.monotonic())
        return bool(pressed)

    with pytest.raises(Cancelled):
        upload(model, "lab/heart", cancelled=cancelled)
    assert time.monotonic() - pressed[0] < 1
    held = hub.repositories.get("lab/heart")
    assert held is None or len(held.commits) == 1, "a commit was made"


def test_nothing_is_committed_after_cancel(hub: Any, model: Path) -> None:
    """The thread that was left behind may finish sending a file, and must stop there."""
    hub.faults.stall_path = "/storage/"
    with pytest.raises(Cancelled):
        upload(model, "lab/heart", cancelled=lambda: bool(hub.requests("PUT", "/storage/")))
    hub.released.set()
    wait_until(lambda: hub.objects)
    time.sleep(0.5)
    assert not hub.requests("POST", "/commit/")
