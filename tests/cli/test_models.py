"""``flomo models`` with a local Hub."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import cli
from napari_flomo.models import index
from napari_flomo.progress import Progress, progress_bar

Flomo = Callable[..., tuple[str, str]]
Answer = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.fixture
def published(hub: Any, model: Path) -> str:
    """Put the random model on the Hub and return its source."""
    files = {name: (model / name).read_bytes() for name in ("card.json", "model.safetensors")}
    return f"hf:team/random@{hub.add('team/random', files)}"


def test_pull_verify_and_remove(
    published: str, model: Path, answer: Answer, *, flomo: Flomo, refused: Refused, tmp_path: Path
) -> None:
    folder = Path(answer("models", "pull", published)["folder"])
    assert folder.is_relative_to(tmp_path / "home")
    weights = folder / "model.safetensors"
    assert weights.read_bytes() == (model / "model.safetensors").read_bytes()

    listed = {entry["name"]: entry for entry in answer("models", "list")["models"]}
    assert listed[published]["place"] == "fetched"
    assert "flomo-b0-acdc" in listed
    shown = answer("models", "info", published)["card"]["labels"][2]
    assert shown == {"code": 5, "name": "LV", "colour": "#d62728", "snomed": None}
    assert answer("models", "verify", published)["models"][0]["problem"] is None

    weights.write_bytes(b"damaged")
    said = flomo("models", "verify", code=2)[0]
    assert f"download them again with: flomo models pull {published}" in said
    answer("models", "pull", published)
    assert answer("models", "verify", published)["models"][0]["problem"] is None

    assert answer("models", "remove", published)["freed"] > 10_000
    said = refused("models", "remove", published)
    assert said.startswith(f"flomo: {published} was not downloaded")


def test_text_output(published: str, flomo: Flomo, tmp_path: Path) -> None:
    said = flomo("models", "pull", published)[0]
    assert f"random is verified and stored in {tmp_path / 'home'}" in said
    assert f"{published}  fetched" in flomo("models", "list")[0]
    lines = flomo("models", "info", published)[0].splitlines()
    for line in ("  pixels: 2 mm; field of view: 48 pixels", "    5  LV", "  licence: CC0-1.0"):
        assert line in lines
    assert f"{published}: verified" in flomo("models", "verify")[0]
    assert "Removed hf:team/random, " in flomo("models", "remove", "hf:team/random")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pull", "hf:team/nothing"], "team/nothing"),
        (["pull", "unet"], "There is no model named 'unet'"),
        (["info", "hf:team/nothing"], "download it with: flomo models pull hf:team/nothing"),
        (["push", "/nowhere", "--repo", "team/x"], "no model folder /nowhere"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_errors_are_one_sentence(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("models", *arguments)


def test_push_pull_and_segment(
    hub: Any, model: Path, stack: Path, answer: Answer, *, flomo: Flomo, monkeypatch: Any
) -> None:
    """The result of a model does not depend on how it was obtained."""
    tmp_path = stack.parent
    pushed = answer("models", "push", model, "--repo", "team/random", "--private")
    (tmp_path / "index.json").write_text(json.dumps({"models": [pushed["entry"]]}))
    monkeypatch.setattr(index, "INDEX", tmp_path / "index.json")

    results = []
    for number, name in enumerate([model, "hf:team/random", "random"]):
        paths = [tmp_path / f"{kind}{number}.nii" for kind in ("labels", "probabilities")]
        command = ["segment", stack, "-o", paths[0], "--probabilities", paths[1]]
        flomo(*command, "--model", name, "--slices", "1", "-q")
        results.append([path.read_bytes() for path in paths])
    assert results[0] == results[1] == results[2]
    bodies = [seen for seen in hub.bodies() if "safetensors" in seen.path]
    assert len(bodies) <= 2, "fetched once (a request and the redirect to the storage)"


def test_interrupted_download(
    hub: Any, published: str, start_python: Callable[..., Any], flomo: Flomo
) -> None:
    """Ctrl+C while the server is silent ends the command, and the next pull works."""
    hub.faults.stall_after = 20_000
    process = start_python("-m", "napari_flomo", "models", "pull", published)
    assert hub.body_started.wait(60)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    assert process.communicate(timeout=30)[1] == (
        "flomo: Interrupted; the model was not downloaded.\n"
    )
    assert process.returncode == cli.EXIT_INTERRUPTED
    assert time.monotonic() - asked < 10  # a second, on a computer that is not overloaded
    hub.faults.stall_after = -1
    flomo("models", "pull", published, "-q")


def test_two_processes_at_once(
    hub: Any, published: str, model: Path, start_python: Callable[..., Any]
) -> None:
    """Both get the whole model, and its weights are downloaded once."""
    hub.faults.block_seconds = 0.005
    command = ["-m", "napari_flomo", "models", "pull", published, "--json"]
    both = [start_python(*command) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    folders = {json.loads(out)["folder"] for out, _ in answers}
    (folder,) = map(Path, folders)
    for name in ("card.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (model / name).read_bytes()
    size = (model / "model.safetensors").stat().st_size
    assert size <= hub.sent < 1.5 * size


def test_progress_bar_counts_bytes(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_bar("B") as report:
        report(Progress(0, 14_000_000, "Downloading"))
        report(Progress(7_000_000, 14_000_000, "Downloading"))
    assert "14.0M" in capsys.readouterr().err
