"""Stores and data sets come in once, whole, and may come again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.corrections.exchange import Imported, export, import_folder
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, write

Correct = Callable[..., Correction]


@pytest.fixture
def store(tmp_path: Path) -> CorrectionStore:
    return CorrectionStore.open(tmp_path / "store", create=True)


def test_merges_a_store_with_all_revisions(
    store: CorrectionStore, filled: CorrectionStore, correct: Correct
) -> None:
    filled.add(correct(4, state="accepted"))  # a second revision of the draft
    assert import_folder(store, filled.folder) == Imported(6, 0, ())
    assert import_folder(store, filled.folder) == Imported(0, 6, ())
    assert store.verify() == []
    mine, theirs = store.records(), filled.records()
    assert [r.revision for r in mine] == [r.revision for r in theirs] == [1, 1, 1, 1, 2]
    for own, other in zip(mine, theirs, strict=True):
        assert own.id != other.id, "ids are salted by each store"
        first, second = store.read(own.id), filled.read(other.id)
        np.testing.assert_array_equal(first.corrected.data, second.corrected.data)
        assert own.image.sha256 == other.image.sha256
        assert (own.seen, own.reader, own.model) == (other.seen, other.reader, other.model)
    assert mine[0].group == mine[1].group != mine[2].group


def test_repeated_imports_add_nothing(
    store: CorrectionStore, filled: CorrectionStore, correct: Correct
) -> None:
    import_folder(store, filled.folder)
    assert import_folder(filled, store.folder) == Imported(0, 5, ())
    store.add(correct(0, state="rejected"))
    assert import_folder(filled, store.folder).added == 1
    assert filled.revisions(filled.records()[-1].id) == [1, 2]
    assert import_folder(store, filled.folder).added == 0


def test_patients_stay_together_across_stores(
    store: CorrectionStore, filled: CorrectionStore, correct: Correct
) -> None:
    """An image in both stores tells that two groups are one patient."""
    own = store.record(store.add(correct(0, reader="me", group=store.group_id("patient")))).group
    import_folder(store, filled.folder)
    groups = {record.image.sha256: record.group for record in store.records()}
    theirs = [record.image.sha256 for record in filled.records()]
    assert groups[theirs[0]] == groups[theirs[1]] == own
    assert groups[theirs[2]] != own


def test_deleted_corrections_stay_deleted(store: CorrectionStore, filled: CorrectionStore) -> None:
    import_folder(store, filled.folder)
    store.remove(store.records()[0].id)
    assert import_folder(store, filled.folder) == Imported(0, 5, ())
    assert len(store.records()) == 4


def test_damaged_corrections_are_left_out(store: CorrectionStore, filled: CorrectionStore) -> None:
    record = filled.records()[2]
    (filled.folder / record.corrected.file).write_bytes(b"rubbish")
    done = import_folder(store, filled.folder)
    assert done.added == 4
    assert record.id in done.skipped[0]


def test_references_are_imported_as_references(
    store: CorrectionStore, correct: Correct, tmp_path: Path
) -> None:
    hashes = CorrectionStore.open(tmp_path / "hashes", create=True, copy_images=False)
    hashes.add(correct())
    assert import_folder(store, hashes.folder).added == 1
    assert store.read(store.records()[0].id).image is None
    store.add(correct(state="draft"))  # now somebody has the image
    assert store.read(store.records()[0].id).image is not None
    assert store.verify() == []


def test_export_and_import(store: CorrectionStore, filled: CorrectionStore, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset501_Corrections"
    export(filled, folder, "nnunet")
    assert import_folder(store, folder, reader="nnunet") == Imported(5, 0, ())
    assert import_folder(store, folder, reader="nnunet") == Imported(0, 5, ())
    partly = filled.records()[1]
    (back,) = store.of_image(partly.image.sha256)
    assert back.seen == ((0, 1),), "ignored slices were not seen"
    assert back.codes == {1: "RV", 2: "LV"}
    assert (back.state, back.model, back.reader) == ("accepted", None, "nnunet")
    original = filled.read(partly.id).corrected.data[1]
    read = store.read(back.id).corrected.data
    np.testing.assert_array_equal(read[1], np.where(original == 5, 2, original))
    assert not read[[0, 2]].any()


@pytest.fixture
def dataset(tmp_path: Path, make_volume: Callable[..., Volume]) -> Path:
    """Images and labels without a description: two of one patient, one of another."""
    folder = tmp_path / "dataset"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number, name in enumerate(("anna_ed", "anna_es", "bert_ed")):
        image = make_volume()
        image = image.with_data(image.data + np.int16(number))
        write(image, folder / "images" / f"{name}.nii.gz")
        labels = np.zeros(image.data.shape, np.float32)  # as some tools save them
        labels[1, 4:9, 4:9] = number + 1
        write(image.with_data(labels), folder / "labels" / f"{name}.nii.gz")
    return folder


def test_plain_folders_and_patients(store: CorrectionStore, dataset: Path) -> None:
    assert import_folder(store, dataset, patient="^[a-z]+").added == 3
    first, second, third = (record.group for record in store.records())
    assert first == second != third
    assert store.records()[0].codes == {1: "label 1", 2: "label 2", 3: "label 3"}
    assert store.records()[0].seen == ((0, 0), (0, 1), (0, 2))


def test_every_bad_case_is_named(store: CorrectionStore, dataset: Path) -> None:
    labels = {"background": 0, "RV": 1, "LV": 2}
    (dataset / "dataset.json").write_text(json.dumps({"labels": labels}))
    (dataset / "images" / "anna_es.nii.gz").rename(dataset / "images" / "anna_es_0000.nii.gz")
    (dataset / "images" / "other_0000.nii.gz").write_bytes(b"no image")
    (dataset / "labels" / "other.nii.gz").write_bytes(b"no labels")
    lonely = Volume.from_array(np.zeros((3, 9, 9), np.uint8), (8, 1, 1))
    write(lonely, dataset / "labels" / "lonely.nii.gz")
    done = import_folder(store, dataset)
    assert done.added == 2
    told = "\n".join(done.skipped)
    assert "bert_ed was left out: The labels hold the code 3" in told
    assert "lonely was left out: it has no image" in told
    assert "other was left out" in told


@pytest.mark.parametrize(
    "description",
    ["{", "{}", '{"labels": [1]}', '{"labels": {"a": [1, 2]}}', '{"labels": {"a": "b"}}'],
)
def test_invalid_description(store: CorrectionStore, dataset: Path, description: str) -> None:
    (dataset / "dataset.json").write_text(description)
    with pytest.raises(FlomoError, match="no valid label table"):
        import_folder(store, dataset)
    assert store.records() == []


def test_invalid_folders_are_refused(store: CorrectionStore, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="nothing to import"):
        import_folder(store, tmp_path)
    with pytest.raises(FlomoError, match="into itself"):
        import_folder(store, store.folder)
    with pytest.raises(FlomoError, match="no regular expression"):
        import_folder(store, dataset, patient="(")
    done = import_folder(store, dataset, patient="x+")
    assert done.added == 0
    assert "finds no patient" in done.skipped[0]


def test_a_correction_in_both_stores_becomes_revisions(
    store: CorrectionStore, filled: CorrectionStore, correct: Correct
) -> None:
    mine = correct(0)
    data = mine.corrected.data.copy()
    data[0, :3] = 1
    id = store.add(replace(mine, corrected=mine.corrected.with_data(data)))
    import_folder(store, filled.folder)
    assert store.revisions(id) == [1, 2], "nothing is lost"
    np.testing.assert_array_equal(store.read(id, 1).corrected.data, data)


def turned(labels: Volume) -> Volume:
    """Store rows and slices the other way round, columns before rows, at the same place."""
    affine = labels.geometry.affine_lps()
    for axis in (1, 2):
        affine[:3, 3] += affine[:3, axis] * (labels.data.shape[2 - axis] - 1)
        affine[:3, axis] *= -1
    affine[:3, :2] = affine[:3, 1::-1]
    data = labels.data[::-1, ::-1].transpose(0, 2, 1)
    return Volume(data, Geometry.from_affine_lps(affine))


def test_field_cases_lie_on_their_image(store: CorrectionStore, cases: Path) -> None:
    """Two files hold the same labels of one image, flipped and rounded."""
    done = import_folder(store, cases / "labels_same_place_other_storage" / "Dataset")
    assert done == Imported(1, 1, ())
    corrected = store.read(store.records()[0].id).corrected.data
    assert [(corrected == code).sum() for code in (1, 2, 3)] == [2407, 3251, 5343]


def test_labels_in_another_storage_scaled_and_rounded(
    store: CorrectionStore, correct: Correct, tmp_path: Path
) -> None:
    source = correct(0)
    image, labels = source.image, source.corrected

    def moved(mm: float) -> Volume:
        origin = tuple(np.add(labels.geometry.origin, mm).tolist())
        return replace(labels, geometry=replace(labels.geometry, origin=origin))

    scaled = labels.with_data(labels.data * np.float32(1.0000153))
    cases = {"turned": turned(labels), "scaled": scaled, "near": moved(0.05), "far": moved(5)}
    for number, (name, wanted) in enumerate(cases.items()):
        own = image.with_data(image.data + number, axes=image.axes)
        for folder, volume in (("imagesTr", own), ("labelsTr", wanted)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            write(volume, tmp_path / "data" / folder / f"{name}.nii.gz")
    done = import_folder(store, tmp_path / "data")
    assert done.added == 3
    (told,) = done.skipped
    assert told.startswith("far was left out")
    assert "voxels" in told
    for record in store.records():
        np.testing.assert_array_equal(store.read(record.id).corrected.data, labels.data)
