"""The gate end to end: verdicts, files, card, cancellation, the command, the real network."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from flomo_training.gate import Fold, GateReport, HeldOut, Rules, plots, run, run_gate
from flomo_training.leaks import fingerprint
from napari_flomo.cli import main
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import (
    install_candidate,
    load_card,
    load_network,
    locate,
    promote,
    save_model,
)
from napari_flomo.schema import decode, read_json
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read

GOOD, POOR = (0.2, 0.52, 1.36), (0.2, 0.7, 1.36)


@pytest.fixture
def gate(parent, reference, store, held_out):
    """Run the gate on everything, into the candidate's folder."""

    def run(candidate, **changes):
        fields = {
            "parent": parent,
            "candidate": candidate,
            "store": store.folder,
            "held_out": held_out,
            "reference": reference,
            "out": candidate / "gate",
        }
        return run_gate(**(fields | changes))

    return run


def test_better_model_passes_and_can_be_promoted(gate, candidate, parent):
    folder = candidate()
    steps = []
    report = gate(folder, progress=steps.append)
    assert report.verdict == "passed", report.checks
    assert report.passed
    assert all(check.passed for check in report.checks)
    assert (report.reference.groups, report.reference.images, report.reference.slices) == (3, 3, 9)
    assert (report.corrections.groups, report.corrections.slices) == (3, 6)
    wall = report.corrections.structures[0]
    assert wall.name == "wall"
    assert wall.dice.difference > 0.05
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (done[-1], steps[-1].total) == (30, 30), "two models, 9 + 6 slices"
    assert {step.message for step in steps} == {"Looking for leaks", "Comparing", "Drawing"}

    card = load_card(folder)
    assert card.gate["verdict"] == "passed"
    content = (folder / "gate" / "report.json").read_bytes()
    assert card.gate["report_sha256"] == hashlib.sha256(content).hexdigest()
    assert card.gate["judged_on"]["reference"]["sha256"] == report.reference.sha256
    assert card.sha256 == load_card(folder / "card.json").sha256
    name = install_candidate(folder)
    assert promote(name) == "parent"
    assert (locate(name) / "gate" / "report.md").is_file()


def test_the_report_is_strict_json_and_a_page_without_secrets(gate, candidate, tmp_path, reference):
    folder = candidate()
    report = gate(folder)
    assert gate(folder) == report, "the same models give the same report"
    content = read_json(folder / "gate" / "report.json")
    assert content.pop("reasons") == list(report.reasons)
    assert decode(GateReport, content) == report
    page = (folder / "gate" / "report.md").read_text()
    assert page.startswith("# candidate: passed")
    assert "| wall | Dice | " in page
    text = page + (folder / "gate" / "report.json").read_text() + json.dumps(load_card(folder).gate)
    assert str(tmp_path) not in text
    assert "p0_a" not in text, "a name of somebody's data may be a name"
    drawn = {path.name for path in (folder / "gate").glob("*.png")}
    assert drawn == set(report.pictures)
    assert report.pictures
    for name in report.pictures:
        assert f"]({name})" in page
        with Image.open(folder / "gate" / name) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        assert ((green > 180) & (red < 90) & (blue < 90)).sum() > 200  # outlines of the wall
    changes = {image.picture: abs(image.after - image.before) for image in report.images}
    ordered = [changes[name] for name in report.pictures]
    assert ordered == sorted(ordered, reverse=True)


def test_worse_model_is_refused(gate, model):
    better = model("better", GOOD)
    worse = model("worse", POOR, parent=f"better {load_card(better).sha256}")
    report = gate(worse, parent=better)
    assert report.verdict == "refused"
    failed = {check.name for check in report.checks if check.passed is False}
    assert {"reference_dice", "reference_structure", "corrections_dice"} <= failed
    assert "Dice of the wall on the reference set fell by" in " ".join(report.reasons)
    install_candidate(worse)
    with pytest.raises(FlomoError, match="worse did not pass the gate: Mean Dice on the ref"):
        promote("worse")


def test_without_reference_or_corrections_it_stays_undecided(gate, candidate):
    folder = candidate()
    report = gate(folder, reference=None)
    assert (report.verdict, report.reference) == ("undecided", None)
    assert "There is no reference set" in report.reasons[0]
    report = gate(folder, held_out=[])
    assert (report.verdict, report.corrections) == ("undecided", None)
    assert "No corrections were held out of training" in report.reasons[0]
    assert load_card(folder).gate["verdict"] == "undecided"
    report = gate(folder, store=None, held_out=[], reference=None)
    assert len(report.reasons) == 2
    assert not list((folder / "gate").glob("*.png")), "pictures of an older report are gone"


def test_folds_are_judged_without_their_training_patients(gate, candidate, model, store, parent):
    """Each patient is segmented by the model that was trained without it."""
    folder = candidate(trained_on=tuple(r.image.sha256[:16] for r in store.records()))
    lineage = f"parent {load_card(parent).sha256}"
    folds = []
    for number, record in enumerate(store.records()):
        others = tuple(r.image.sha256[:16] for r in store.records() if r.id != record.id)
        levels = GOOD if number else POOR  # this fold learnt nothing
        trained = model(f"fold{number}", levels, parent=lineage, trained_on=others)
        folds.append(Fold(trained, (HeldOut(record.id, 0, (0, 2)),)))
    report = gate(folder, held_out=[], folds=folds)
    assert report.corrections.groups == 3
    gains = [image.after - image.before for image in report.images if image.part == "corrections"]
    assert gains[0] == 0
    assert min(gains[1:]) > 0.02
    assert report.verdict == "undecided"
    assert "too few patients to tell" in " ".join(report.reasons)
    assert gate(folder, held_out=[], folds=folds[1:]).verdict == "undecided", "two patients"
    seen = replace(folds[1], held_out=(*folds[1].held_out, *folds[2].held_out))
    report = gate(folder, held_out=[], folds=[folds[0], seen])
    assert report.corrections.groups == 2
    assert "used for training" in report.left_out[0]


def test_leaks_are_left_out(gate, candidate, store, reference, make_correction):
    learnt = store.records()[-1].image.sha256[:16]
    known = (learnt, fingerprint(reference / "images" / "p2_a.nii.gz"))
    store.add(make_correction(store))  # another image: the grey values differ
    folder = candidate(trained_on=known)
    report = gate(folder)
    assert report.reference.groups == 2
    assert report.corrections.groups == 2
    assert len(report.left_out) == 2
    assert "was used for training and therefore not for evaluation" in report.left_out[0]
    assert "reference image 3 was used for training" in report.left_out[1]
    assert gate(folder, rules=Rules(reference_groups=3)).verdict == "undecided"


def test_card_without_training_images_is_reported(gate, candidate):
    report = gate(candidate(trained_on=None))
    assert "candidate does not list its training images" in report.left_out[0]


def test_candidate_must_descend_from_the_parent(gate, model, parent, candidate):
    with pytest.raises(FlomoError, match="was tuned from no other model"):
        gate(model("orphan", GOOD))
    stepchild = model("stepchild", GOOD, parent=f"parent {'0' * 64}")
    with pytest.raises(FlomoError, match="from other weights of parent"):
        gate(stepchild)
    folder = candidate()
    labels = load_card(parent).labels
    changed = (*labels[:2], replace(labels[2], name="pouch"))
    other = model("other", GOOD, parent=load_card(folder).parent, labels=changed)
    with pytest.raises(FlomoError, match="different structures"):
        gate(other)
    with pytest.raises(FlomoError, match="give its folder with --store"):
        gate(folder, store=None)


@pytest.mark.parametrize("moment", ["Looking for leaks", "Comparing", "Drawing"])
def test_cancelled_gate_writes_nothing(gate, candidate, moment):
    folder = candidate()
    card = (folder / "card.json").read_bytes()
    reached = []
    with pytest.raises(Cancelled):
        gate(
            folder,
            progress=lambda step: reached.append(step.message),
            cancelled=lambda: moment in reached,
        )
    assert (folder / "card.json").read_bytes() == card
    assert list((folder / "gate").iterdir()) == []


def test_gate_writes_all_files_or_none(gate, candidate, monkeypatch):
    folder = candidate()
    gate(folder, held_out=[])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plots, "draw", full)
    with pytest.raises(FlomoError, match="disk is full"):
        gate(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_model_replaced_during_the_gate(gate, candidate, monkeypatch):
    folder = candidate()
    card = load_card(folder)
    other = SimpleNamespace(card=replace(card, sha256="0" * 64))
    monkeypatch.setattr(run.Segmenter, "from_pretrained", lambda *_: other)
    with pytest.raises(FlomoError, match="was replaced during the gate; run the gate again"):
        gate(folder)
    assert load_card(folder) == card


@pytest.fixture
def everything(store, held_out, reference, tmp_path):
    """Options of the command for all data."""
    listed = tmp_path / "held_out.json"
    listed.write_text(json.dumps([vars(part) for part in held_out]))
    options = {"--store": store.folder, "--held-out": listed, "--reference": reference}
    return [str(word) for option in options.items() for word in option]


def test_the_command(candidate, parent, everything, capsys, tmp_path):
    folder = candidate()
    command = ["gate", "--candidate", str(folder), "--parent", str(parent)]
    assert main([*command, *everything, "--strict", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == "passed"
    assert printed == json.loads((folder / "gate" / "report.json").read_text())

    rules = tmp_path / "rules.yaml"
    rules.write_text("dice_gain: 0.9\n")
    command += ["--rules", str(rules), "--out", str(tmp_path / "report")]
    assert main([*command, *everything, "--strict"]) == 3
    out = capsys.readouterr().out
    assert out.startswith("candidate: refused\n  Mean Dice on the held-out corrections rose by")
    assert f"Full report: {tmp_path / 'report' / 'report.md'}" in out
    assert main([*command, "-q"]) == 0, "not to pass is no error"
    assert capsys.readouterr().out == ""
    (tmp_path / "held_out.json").write_text('[{"record_id": "x"}]')
    assert main([*command, *everything]) == 2
    assert "'held_out[0].frame' is missing" in capsys.readouterr().err
    assert main(["gate", "--candidate", str(parent)]) == 2
    assert "does not name a parent" in capsys.readouterr().err
    assert main(["gate", "--candidate", str(folder)]) == 2
    assert "There is no model named 'parent'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "message"),
    [(1e-4, "held-out corrections (did not change|fell)"), (0.2, "reference set fell by")],
)
def test_the_bundled_model_with_noise_on_its_weights(monkeypatch, tmp_path, noise, message):
    """Little noise on the weights does not improve the model, much noise ruins it."""
    monkeypatch.undo()  # the real networks
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    folder = locate("flomo-b0-acdc")
    network, card = load_network(folder)
    # One image, and one correction that equals the parent's labels: nothing to learn.
    cases = tmp_path / "reference"
    cases.mkdir()
    packed = folder / "reference"
    (cases / "cases.csv").write_text(
        "case,patient,structures,slices,image,labels\nx,x,2 3,4,"
        f"{packed / 'images' / 'reference-2_ED.nii.gz'},"
        f"{packed / 'labels' / 'reference-2_ED_gt.nii.gz'}\n"
    )
    image = read(packed / "images" / "reference-1_ED.nii.gz")
    labels = Segmenter(network, card, "cpu").segment(image, slices=[3]).labels
    store = CorrectionStore.open(tmp_path / "store", create=True)
    structures = {label.code: label.name for label in card.labels[1:]}
    record = store.add(
        Correction(image, labels, structures, seen=[(0, 3)], state="accepted", reader="reader")
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2 and parameter.numel() > 1:
                parameter.add_(noise * parameter.std() * torch.randn_like(parameter))
    tuned = tmp_path / "tuned"
    save_model(
        tuned, network, replace(card, name="tuned", parent=f"{card.name} {card.sha256}"), "float32"
    )
    report = run_gate(
        parent=folder,
        candidate=tuned,
        store=store.folder,
        held_out=[HeldOut(record, 0, (3,))],
        reference=cases,
        out=tuned / "gate",
    )
    assert report.verdict == "refused"
    assert re.search(message, " ".join(report.reasons))
    reference = {check.passed for check in report.checks if check.name.startswith("reference")}
    assert reference == ({True} if noise < 0.01 else {False}), report.checks
