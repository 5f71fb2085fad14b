"""Evaluation images of the gate: reference sets and held-out corrections."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from flomo_training.cases import list_cases, read_case
from flomo_training.gate import HeldOut
from flomo_training.gate.corrections import (
    NOT_TRAINED,
    edited_structures,
    index_store,
    read_held_out,
)
from flomo_training.gate.reference import find_reference, read_reference, reference_hash
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import install_candidate
from napari_flomo.progress import Progress
from napari_flomo.volumes import read


@pytest.fixture
def columns(reference, read_cases, write_cases):
    """Write columns of the reference set."""
    return lambda **values: write_cases(
        reference, [row | values for row in read_cases(reference).values()]
    )


def test_reference_columns_restrict_slices_and_structures(reference, card, columns):
    steps = []
    images = read_reference(reference, card, steps.append)
    assert steps == [Progress(1, 3), Progress(2, 3), Progress(3, 3)]
    assert [image.name for image in images] == [f"reference image {n}" for n in (1, 2, 3)]
    assert {(image.slices, image.codes) for image in images} == {((0, 1, 2), (2, 5))}
    assert len({image.group for image in images}) == 3
    with pytest.raises(Cancelled):
        read_reference(reference, card, None, lambda: True)
    before = reference_hash(reference)
    columns(structures="5", slices="2 0")
    assert {(i.slices, i.codes) for i in read_reference(reference, card)} == {((0, 2), (5,))}
    assert reference_hash(reference) != before


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("slices", "0 3", "lists slice 3 of p0_a, which has 3 slices"),
        ("slices", "1,2", "has '1,2' as slices of p0_a"),
        ("structures", "1", "structure 1 of p0_a, which is not in the card of tiny"),
        ("structures", "cavity", "has 'cavity' as structures"),
    ],
)
def test_invalid_reference_tables(reference, card, columns, *, column, value, message):
    columns(**{column: value})
    with pytest.raises(FlomoError, match=message):
        read_reference(reference, card)


def test_codes_that_are_not_in_the_card_are_rejected(reference, card):
    labels = (*card.labels[:2], replace(card.labels[2], code=7))
    with pytest.raises(FlomoError, match=r"contain the codes \[5\]"):
        read_reference(reference, replace(card, labels=labels))


def test_reference_set_of_an_ancestor_is_found(parent, candidate, reference, home):
    tuned = candidate()
    assert find_reference(parent) is None
    assert find_reference(tuned) is None, "its parent is not on this computer"
    text = (parent / "card.json").read_text()
    # Only a model with a parent can be installed as a candidate.
    text = text.replace('"parent": null', '"parent": "unknown 12ab"')
    (parent / "card.json").write_text(text)
    installed = home / "tuned" / install_candidate(parent)
    shutil.copytree(reference, installed / "reference")
    assert find_reference(installed) == installed / "reference"
    assert find_reference(tuned) == installed / "reference"


def test_bundled_reference_set_is_complete(repository):
    from napari_flomo.models import load_card, locate

    folder = find_reference(locate("flomo-b0-acdc"))
    card = load_card("flomo-b0-acdc")
    images = read_reference(folder, card)
    assert [len(image.slices) for image in images] == [9, 9, 10, 10, 9, 9]
    assert [image.codes for image in images] == [(2, 3), (3,)] * 3
    assert len({image.group for image in images}) == 3
    for image in images:
        volume, labels = image.load()
        assert volume.geometry.same_space(labels.geometry)
        assert set(np.unique(labels.data)) == {0, *image.codes}
        assert (labels.data == 3).any((1, 2)).all(), "every slice has a contour"
    assert all(
        a.signatures & b.signatures for a, b in ((images[0], images[1]), (images[4], images[5]))
    )
    assert not images[0].signatures & images[2].signatures
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < 3_000_000
    # Corrections made in a tutorial must be recognised: the samples are of the first patient.
    samples = repository / "napari_flomo" / "samples"
    from flomo_training.gate.signatures import signatures

    for name in ("sunnybrook_ed.nii.gz", "sunnybrook_cine.nii.gz"):
        sample = signatures(read(samples / name))
        assert [bool(sample & image.signatures) for image in images] == [True, True] + [False] * 4


@pytest.mark.shared
def test_bundled_reference_set_is_reproducible(shared, repository, tmp_path, load_benchmark):
    load_benchmark("pack_reference").pack(shared / "data" / "sunnybrook", tmp_path / "reference")
    packed = repository / "napari_flomo" / "models" / "bundled" / "flomo-b0-acdc" / "reference"
    assert reference_hash(tmp_path / "reference") == reference_hash(packed)


def test_corrections_are_read_in_the_codes_of_the_card(store, held_out, card, dataset):
    notes = []
    index_store(store, notes.append)
    images = read_held_out(store, held_out, card, NOT_TRAINED, notes.append)
    assert not notes
    assert [image.slices for image in images] == [(0, 2)] * 3
    assert {image.codes for image in images} == {(2, 5)}
    assert {image.drawn for image in images} == {None}, "nothing was proposed, so all was drawn"
    assert images[0].name == f"correction {held_out[0].record_id}, frame 0"
    cases = {case.patient: read_case(case)[1] for case in list_cases(dataset, 0, "all")}
    for patient, image in zip(("p3", "p4", "p5"), images, strict=True):
        assert image.group == store.group_id(patient)
        assert np.array_equal(image.load()[1].data, cases[patient].data)


def test_edited_and_unedited_structures(store, card, make_correction):
    drawn = make_correction(store)
    proposed = drawn.corrected.data.copy()
    proposed[0][proposed[0] == 1] = 0  # the whole wall of a slice that was seen
    proposed[1][proposed[1] == 2] = 0  # the cavity of one that unreviewed slices
    row, column = np.argwhere(proposed[2] == 2)[0]
    proposed[2, row, column] = 0  # a single voxel of the cavity
    id = store.add(replace(drawn, proposed=drawn.corrected.with_data(proposed)))
    (image,) = read_held_out(store, [HeldOut(id, 0, (0, 2))], card, NOT_TRAINED, lambda _: None)
    assert (image.codes, image.drawn) == ((2, 5), (2,))
    codes, nothing = np.array([[1, 1, 2, 0]]), np.zeros((1, 4), int)
    assert edited_structures(codes, codes, (1, 2, 3)) == set()
    assert (
        edited_structures(nothing, codes, (1, 2, 3))
        == edited_structures(codes, nothing, (1, 2, 3))
        == {1, 2}
    )


def test_unusable_corrections_are_left_out(store, held_out, card, make_correction):
    first = store.records()[0]
    known = [first.image.sha256[:16]]
    notes = []
    content = index_store(store, notes.append)
    trained = content.seen_by(known)
    assert trained.images == {first.image.sha256}
    parts = [
        HeldOut(first.id, 0, (0, 2)),
        HeldOut(held_out[0].record_id, 0, (0, 1)),
        HeldOut(held_out[0].record_id, 1, (0,)),
        HeldOut(held_out[0].record_id, 0, ()),
        HeldOut("0" * 16, 0, (0,)),
        held_out[1],
    ]
    images = read_held_out(store, parts, card, trained, notes.append)
    assert [image.name[11:27] for image in images] == [held_out[1].record_id]
    wanted = ("used for training", *["unreviewed slices"] * 3, "is no corr")
    for sentence, words in zip(notes, wanted, strict=True):
        assert words in sentence
        assert str(store.folder) not in sentence

    same = store.add(make_correction(store, group=first.group, seen=[(0, 0)]))
    draft = store.add(make_correction(store, reader="other", state="draft"))
    foreign = store.add(
        make_correction(store, reader="third", structures={1: "wall", 2: "cavity", 9: "scar"})
    )
    notes.clear()
    trained = index_store(store, notes.append).seen_by(known)
    parts = [HeldOut(same, 0, (0,)), HeldOut(draft, 0, (0, 2)), HeldOut(foreign, 0, (0, 2))]
    assert read_held_out(store, parts, card, trained, notes.append) == []
    for sentence, words in zip(notes, ("a patient used for", "is draft", "'scar'"), strict=True):
        assert words in sentence


def test_damaged_images_are_left_out(store, held_out, card):
    file = store.record(held_out[0].record_id).image.copy
    (store.folder / file.file).write_bytes(b"torn")
    notes = []
    index_store(store, notes.append)
    assert "was changed after it was written" in notes[0]
    assert "could not be compared with the reference set" in notes[0]
    images = read_held_out(store, held_out, card, NOT_TRAINED, notes.append)
    assert len(images) == 2
    assert "was changed after it was written" in notes[1]
