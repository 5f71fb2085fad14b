"""Collection of reviewed slices from a store, with the codes of the card."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flomo_training.finetuning import folds, gather, readiness
from flomo_training.finetuning.dataset import CorrectedFrame, CorrectionSet
from flomo_training.gate import HeldOut
from napari_flomo.corrections import CorrectionStore


def test_only_reviewed_slices_of_accepted_corrections(fill, card):
    store = fill(patients=2, seen=3)
    fill(patients=1, seen=2, state="draft")  # the first one is a draft again
    skipped = []
    corrected = gather(store, card, skipped)
    assert skipped == []
    assert corrected.slices == 3
    (frame,) = corrected.frames
    assert frame.slices == (0, 1, 2)
    assert frame.volume.images.shape == (3, 1, 32, 32)
    assert frame.unseen.shape == (1, 1, 32, 32)
    assert corrected.as_held_out() == [HeldOut(frame.record_id, 0, (0, 1, 2))]
    (record,) = [one for one in store.records() if one.state == "accepted"]
    assert corrected.fingerprints == (record.image.sha256[:16],)
    assert frame.digest == record.digest


def test_codes_are_matched_by_name(fill, card):
    """Codes are matched by the names of structures, ignoring case and spaces."""
    truth = gather(fill(patients=1), card, []).frames[0].volume.classes
    assert set(np.unique(truth)) == {0, 1, 2}, "indices of the card, not codes"
    swapped = fill(patients=1, folder="swapped", structures={2: "Cavity", 5: "WALL "})
    found = gather(swapped, card, []).frames[0].volume.classes
    np.testing.assert_array_equal(found == 2, truth == 1)
    np.testing.assert_array_equal(found == 1, truth == 2)


def test_unlabelled_structures_are_marked(fill, card):
    labels = (*card.labels, replace(card.labels[1], code=9, name="fat"))
    (frame,) = gather(fill(patients=1), replace(card, labels=labels), []).frames
    assert frame.named == (True, True, True, False)


def test_unedited_structures_are_not_evaluated(fill, card, make_disc):
    """The reader edited the cavity but not the wall."""
    _, labels = make_disc(100, other_scanner=True)
    proposed = labels.data.copy()
    proposed[:2][labels.data[:2] == 5] = 0
    (frame,) = gather(fill(patients=1, proposed=labels.with_data(proposed)), card, []).frames
    assert frame.evaluated == (False, False, True)
    unseen = fill(patients=1, folder="b", proposed=labels.with_data(proposed), seen=1)
    assert gather(unseen, card, []).frames[0].evaluated == (False, False, True)
    proposed[2, 0, 0] = 2  # the brush grazed the wall
    grazed = fill(patients=1, folder="e", proposed=labels.with_data(proposed))
    assert gather(grazed, card, []).frames[0].evaluated == (False, False, True)
    same = fill(patients=1, folder="c", proposed=labels)
    assert gather(same, card, []).frames[0].evaluated == (True, True, True), (
        "nothing had to be drawn"
    )
    nothing = fill(patients=1, folder="d", proposed=None)
    assert gather(nothing, card, []).frames[0].evaluated == (True, True, True)


def test_unknown_structures_are_reported(fill, card):
    store = fill(patients=2)
    fill(patients=1, structures={2: "wall", 5: "polyp"})
    skipped = []
    assert gather(store, card, skipped).slices == 6
    (sentence,) = skipped
    assert "'polyp', which tiny does not know" in sentence
    assert "left out" in sentence


def test_store_without_images(fill, card, tmp_path):
    CorrectionStore.open(tmp_path / "store", create=True, copy_images=False)
    skipped = []
    assert gather(fill(patients=1), card, skipped).slices == 0
    assert "no copy of the image" in skipped[0]


def test_a_damaged_file_is_left_out(fill, card):
    store = fill(patients=2)
    file = next(store.folder.glob("corrections/*/revision-0001-corrected.nii.gz"))
    file.write_bytes(b"junk")
    skipped = []
    assert len(gather(store, card, skipped.append).groups) == 1
    assert len(skipped) == 1


def test_records_of_one_image_form_a_group(fill, card):
    store = fill(patients=2)
    for reader in ("a", "b"):
        fill(patients=1, reader=reader, group=store.group_id(f"as {reader} calls the patient"))
    corrected = gather(store, card, [])
    assert len(corrected.frames) == 4
    assert len(corrected.groups) == 2


def test_hash_depends_on_the_content(fill, card):
    store = fill(patients=2)
    before = gather(store, card, []).batch_hash
    assert gather(store, card, []).batch_hash == before
    fill(patients=2)  # the same content
    assert gather(store, card, []).batch_hash == before
    fill(patients=1, seen=4)
    assert gather(store, card, []).batch_hash != before


def test_single_patient_cannot_be_held_out(fill, card, settings):
    corrected = gather(fill(patients=1, seen=4), card, [])
    found = readiness(corrected, replace(settings, minimum_slices=4))
    assert found.ready
    assert "only of one patient" in found.sentence
    assert folds(corrected, settings) == []


def made(sizes: dict[str, int], trained: tuple[str, ...] = ()) -> CorrectionSet:
    """Return frames of patients with the given numbers of slices."""
    frames = tuple(
        CorrectedFrame(name, 0, tuple(range(size)), name, None, (), np.zeros(0))
        for name, size in sizes.items()
    )
    return CorrectionSet(frames, frozenset(trained))


@pytest.mark.parametrize(
    ("sizes", "held_out"),
    [
        ({"a": 18, "b": 2}, [2, 18]),
        ({"a": 10, "b": 9, "c": 1}, [1, 9, 10]),
        (dict.fromkeys("abcdefghi", 4), [12, 12, 12]),
        ({"a": 9, "b": 6, "c": 4, "d": 3}, [6, 7, 9]),
    ],
)
def test_every_patient_is_held_out_once(sizes, held_out, settings):
    three = replace(settings, folds=3)
    parts = folds(made(sizes), three)
    assert sorted(group for part in parts for group in part) == sorted(sizes)
    assert sorted(sum(sizes[group] for group in part) for part in parts) == held_out
    assert folds(made(dict(reversed(sizes.items()))), three) == parts


def test_training_patients_of_the_parent_are_not_held_out(settings):
    sizes = dict.fromkeys("abcd", 4)
    for trained in ("ab", "abc", "bcd"):
        parts = folds(made(sizes, tuple(trained)), settings)
        assert frozenset().union(*parts) == set(sizes) - set(trained)
    assert folds(made(sizes, tuple("abcd")), settings) == []
    found = readiness(made(sizes, tuple("abcd")), settings)
    assert found.ready
    assert "was trained on before" in found.sentence


def test_training_patients_are_known_from_the_card(fill, card):
    corrected = gather(fill(patients=2), card, [])
    assert corrected.trained == frozenset()
    one = corrected.frames[0]
    tuned = replace(card, trained_on=(one.volume.fingerprint,))
    assert gather(fill(patients=2), tuned, []).trained == {one.group}
