"""``flomo models`` with a local Hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import cli
from napari_flomo.models import index
from napari_flomo.progress import Progress, progress_bar


@pytest.fixture
def published(hub: Any, model: Path) -> str:
    """Put the random model on the Hub and return its source."""
    files = {name: (model / name).read_bytes() for name in ("card.json", "model.safetensors")}
    return f"hf:team/random@{hub.add('team/random', files)}"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["models", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_pull_verify_and_remove(
    hub: Any, published: str, model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pulled = answer(capsys, "pull", published)
    folder = Path(pulled["folder"])
    assert folder.is_relative_to(tmp_path / "home")
    weights = folder / "model.safetensors"
    assert weights.read_bytes() == (model / "model.safetensors").read_bytes()

    listed = {entry["name"]: entry for entry in answer(capsys, "list")["models"]}
    assert listed[published]["place"] == "fetched"
    assert "flomo-b0-acdc" in listed
    shown = answer(capsys, "info", published)
    assert shown["card"]["labels"][2] == {
        "code": 5,
        "name": "LV",
        "colour": "#d62728",
        "snomed": None,
    }
    assert answer(capsys, "verify", published)["models"][0]["problem"] is None

    weights.write_bytes(b"damaged")
    assert cli.main(["models", "verify"]) == 2
    assert f"download them again with: flomo models pull {published}" in capsys.readouterr().out
    answer(capsys, "pull", published)
    assert answer(capsys, "verify", published)["models"][0]["problem"] is None

    assert answer(capsys, "remove", published)["freed"] > 10_000
    assert cli.main(["models", "remove", published]) == 2
    assert capsys.readouterr().err.startswith(f"flomo: {published} was not downloaded")


def test_text_output(published: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["models", "pull", published]) == 0
    assert f"random is verified and stored in {tmp_path / 'home'}" in capsys.readouterr().out
    assert cli.main(["models", "list"]) == 0
    assert f"{published}  fetched" in capsys.readouterr().out
    assert cli.main(["models", "info", published]) == 0
    out = capsys.readouterr().out
    for line in ("  pixels: 2 mm; field of view: 48 pixels", "    5  LV", "  licence: CC0-1.0"):
        assert line in out.splitlines()
    assert cli.main(["models", "verify"]) == 0
    assert f"{published}: verified" in capsys.readouterr().out
    assert cli.main(["models", "remove", "hf:team/random"]) == 0
    assert "Removed hf:team/random, " in capsys.readouterr().out


def test_errors_are_one_sentence(
    hub: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, said in (
        (["pull", "hf:team/nothing"], "team/nothing"),
        (["pull", "unet"], "There is no model named 'unet'"),
        (["info", "hf:team/nothing"], "download it with: flomo models pull hf:team/nothing"),
        (["push", "/nowhere", "--repo", "team/x"], "no model folder /nowhere"),
    ):
        assert cli.main(["models", *arguments]) == 2
        printed = capsys.readouterr()
        assert said in printed.err
        assert printed.err.startswith("flomo: ")
        assert printed.err.count("\n") == 1
        assert printed.out == ""


def test_push_pull_and_segment(
    hub: Any,
    model: Path,
    stack: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The result of a model does not depend on how it was obtained."""
    tmp_path = stack.parent
    pushed = answer(capsys, "push", str(model), "--repo", "team/random", "--private")
    (tmp_path / "index.json").write_text(json.dumps({"models": [pushed["entry"]]}))
    monkeypatch.setattr(index, "INDEX", tmp_path / "index.json")

    results = []
    for number, name in enumerate([str(model), "hf:team/random", "random"]):
        paths = [str(tmp_path / f"{kind}{number}.nii") for kind in ("labels", "probabilities")]
        command = ["segment", str(stack), "-o", paths[0], "--probabilities", paths[1]]
        assert cli.main([*command, "--model", name, "--slices", "1", "-q"]) == 0
        results.append([Path(path).read_bytes() for path in paths])
    assert results[0] == results[1] == results[2]
    bodies = [seen for seen in hub.bodies() if "safetensors" in seen.path]
    assert len(bodies) <= 2, "fetched once (a request and the redirect to the storage)"


def test_interrupted_download(
    hub: Any, published: str, tmp_path: Path, run_python: Callable[..., Any]
) -> None:
    """Ctrl+C while the server is silent ends the command, and the next pull works."""
    hub.faults.stall_after = 20_000
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-m", "napari_flomo", "models", "pull", published],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while not hub.body_started.is_set():
            assert time.monotonic() < deadline, process.poll()
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        said = process.stderr.read()
        assert process.wait(30) == cli.EXIT_INTERRUPTED
        assert time.monotonic() - asked < 10  # a second, on a computer that is not overloaded
    assert said == "flomo: Interrupted; the model was not downloaded.\n"
    hub.faults.stall_after = -1
    assert cli.main(["models", "pull", published, "-q"]) == 0


def test_two_processes_at_once(hub: Any, published: str, model: Path, tmp_path: Path) -> None:
    """Both get the whole model, and its weights are downloaded once."""
    hub.faults.block_seconds = 0.005
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "napari_flomo", "models", "pull", published, "--json"]
    both = [
        subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
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


def test_pushed_bundled_model_gives_the_same_result(
    hub: Any, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed = answer(capsys, "push", "flomo-b0-acdc", "--repo", "team/flomo-b0-acdc")
    source = f"hf:team/flomo-b0-acdc@{pushed['entry']['revision']}"
    image = str(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    results = []
    for model, name in (("flomo-b0-acdc", "bundled"), (source, "pulled")):
        outputs = [tmp_path / f"{name}.nii", tmp_path / f"{name}_p.nii"]
        arguments = ["segment", image, "-o", str(outputs[0]), "--probabilities", str(outputs[1])]
        assert cli.main([*arguments, "--model", model, "--slices", "5-7", "--quiet"]) == 0
        results.append([path.read_bytes() for path in outputs])
    assert results[0] == results[1]
