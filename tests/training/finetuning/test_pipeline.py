"""From a store to a candidate with a verdict: the command, and the results for viewers."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from napari_flomo.cli import main
from napari_flomo.errors import Cancelled
from napari_flomo.jobs import JobFailed, attach, start
from napari_flomo.jobs.detached import PROGRESS
from napari_flomo.jobs.tasks import TASKS, Context
from napari_flomo.models import load_card, load_network


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def numbers(settings, tmp_path):
    """The settings of a short training as a file."""
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(settings)))))
    return file


def test_command_creates_a_candidate_with_a_verdict(base, fill, numbers, tmp_path, capsys):
    store = fill(patients=3)
    out = tmp_path / "run"
    options = ["--store", str(store.folder), "--base", str(base), "--out", str(out)]
    assert (
        main(["finetune", *options, "--settings", str(numbers), "--device", "cpu", "--json"]) == 0
    )
    printed = capsys.readouterr()
    assert "Training: step 0 of 16\n" in printed.err, "there is no terminal"
    assert not re.search("lightning|GPU|Trainer|epoch|Tip", printed.err)
    result = json.loads(printed.out)
    name = result["candidate"]
    assert load_card(name).parent == f"tiny {load_card(base).sha256}"
    assert load_network(name)[1].gate["verdict"] == "undecided"
    assert result["gate"]["verdict"] == "undecided"
    assert Path(result["gate"]["report"]).is_file()
    assert [one["slices"] for one in result["held_out"]] == [[0, 1, 2]] * 3
    assert result["corrections"]["slices"] == 9
    assert str(tmp_path) not in (out / "model" / "card.json").read_text()

    job = attach(out)
    assert job.result(20) == result
    lines = map(json.loads, (out / PROGRESS).read_text().splitlines())
    points = [one["data"] for one in lines if one.get("data")]
    assert [point["step"] for point in points] == [0, 4, 8, 12, 16]

    # Resuming a finished run gives the same result.
    assert (
        main(["finetune", *options, "--settings", str(numbers), "--device", "cpu", "--resume"]) == 0
    )
    assert f"The candidate {name} was added to the tuned models" in capsys.readouterr().out


def test_failure_is_stored_in_the_run_folder(base, fill, tmp_path, capsys):
    store = fill(patients=1)
    out = tmp_path / "run"
    options = ["--store", str(store.folder), "--base", str(base), "--out", str(out)]
    assert main(["finetune", *options]) == 2
    assert "Not enough yet: 3 of 5 slices" in capsys.readouterr().err
    job = attach(out)
    with pytest.raises(JobFailed, match="Not enough yet"):
        job.result(20)


def test_readiness_for_a_panel(base, fill, tmp_path):
    arguments = {"store": str(fill(patients=3).folder), "base": str(base)}
    context = Context(tmp_path, lambda *_: None, lambda: False)
    found = TASKS["readiness"](arguments, context)
    assert (found["ready"], found["have"], found["groups"]) == (True, 9, 3)
    assert found["sentence"] == "Ready: 9 slices of 3 patients."
    assert json.loads(json.dumps(found)) == found


@pytest.mark.slow
def test_separate_process_is_cancelled(base, fill, numbers, tmp_path):
    """Started as in a viewer, cancelled, and resumed to the end."""
    content = yaml.safe_load(numbers.read_text())
    numbers.write_text(yaml.safe_dump(content | {"steps": 2000}))
    store, out = fill(patients=3), tmp_path / "run"
    options = ["finetune", "--store", str(store.folder), "--base", str(base), "--device", "cpu"]
    command = [*options, "--settings", str(numbers), "--out", str(out)]
    job = start(command, out)
    points = []

    def enough(progress):
        if progress.data:
            points.append(progress.data)
        if len(points) > 2:
            job.cancel()

    job.on_progress(enough)
    with pytest.raises(Cancelled):
        job.result(200)
    assert (out / "fold-1" / "last.ckpt").is_file()
    assert not (out / "model").exists()
    again = start([*command, "--resume"], out)
    first = []
    again.on_progress(lambda p: p.data and (first.append(p.data["step"]), again.cancel()))
    with pytest.raises(Cancelled):
        again.result(200)
    assert first
    assert first[0] > 4
