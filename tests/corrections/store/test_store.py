"""What is put into a store comes out of it, and nothing else gets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_flomo.corrections import Correction, CorrectionStore, identity
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, read

Make = Callable[..., Correction]


def painted(correction: Correction, code: int = 3) -> Correction:
    """The same correction after another stroke in slice 0."""
    data = correction.corrected.data.copy()
    data[..., 0, 2:4, 2:4] = code
    return replace(correction, corrected=correction.corrected.with_data(data))


def test_round_trip(store: CorrectionStore, make_correction: Make) -> None:
    made = make_correction(software={"napari": "0.9.2"})
    id = store.add(made)
    back = CorrectionStore.open(store.folder).read(id)
    for name in ("image", "proposed", "corrected"):
        mine, its = getattr(made, name), getattr(back, name)
        np.testing.assert_array_equal(its.data, mine.data)
        assert its.data.dtype == mine.data.dtype
        assert its.axes == mine.axes
        assert its.geometry.same_space(mine.geometry, tolerance=1e-6)
    assert back.image is not None
    assert back.image.modality == "MR"
    assert back.structures == {1: "RV", 3: "LV"}
    assert back.seen == ((0, 0), (0, 1))
    assert back.changed == ((0, 1),)
    assert (back.state, back.seconds, back.reader) == ("accepted", 42, "reader-1")
    assert back.model == made.model
    assert back.image_hash == identity(made.image)
    assert back.software["napari"] == "0.9.2"
    assert store.verify() == []


def test_labels_align_in_other_tools(store: CorrectionStore, make_correction: Make) -> None:
    made = make_correction()
    record = store.record(store.add(made))
    assert record.image.copy is not None
    image, labels = store.folder / record.image.copy.file, store.folder / record.corrected.file
    first, second = nibabel.load(image), nibabel.load(labels)
    np.testing.assert_array_equal(first.affine, second.affine)
    np.testing.assert_allclose(first.affine, made.image.geometry.affine_ras(), atol=1e-4)
    itk_image, itk_labels = (SimpleITK.ReadImage(str(path)) for path in (image, labels))
    assert itk_image.GetDirection() == itk_labels.GetDirection()
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk_labels), made.corrected.data)


def test_cine_and_photo(
    store: CorrectionStore, make_correction: Make, make_volume: Callable[..., Volume]
) -> None:
    cine = make_correction(make_volume(frames=4), seen=[(2, 1), (0, 0), (2, 1)])
    back = store.read(store.add(cine))
    assert back.seen == ((0, 0), (2, 1))
    assert back.changed == ((0, 1), (1, 1), (2, 1), (3, 1))
    np.testing.assert_array_equal(back.corrected.data, cine.corrected.data)
    pixels = np.random.default_rng(0).integers(0, 255, (1, 30, 40, 3), np.uint8)
    axes = ("slices", "rows", "columns", "channels")
    photo = make_correction(Volume(pixels, Geometry.unknown(), axes, modality="photo"))
    back = store.read(store.add(photo))
    assert back.image is not None
    np.testing.assert_array_equal(back.image.data, pixels)
    np.testing.assert_array_equal(back.corrected.data, photo.corrected.data)
    assert store.verify() == []


def test_readable_without_the_package(store: CorrectionStore, make_correction: Make) -> None:
    id = store.add(make_correction())
    explained = (store.folder / "README.txt").read_text()
    for name in ("store.json", "images/", "history.jsonl", "revision-0001", "crc32"):
        assert name in explained
    text = (store.folder / "corrections" / id / "revision-0001.json").read_text()
    record = json.loads(text)
    assert text.count("\n") == len(record) + 2, "one key a line"
    assert record["seen"] == [[0, 0], [0, 1]]
    assert record["model"] == {"name": "flomo-b0-acdc", "card_sha256": "ab" * 32}
    for file in (record["image"]["copy"], record["proposed"], record["corrected"]):
        assert nibabel.load(store.folder / file["file"]).shape == (24, 20, 3)


def test_a_change_is_a_new_revision(store: CorrectionStore, make_correction: Make) -> None:
    first = make_correction(state="draft")
    id = store.add(first)
    second = replace(painted(first), state="accepted")
    assert store.add(second) == id
    assert store.revisions(id) == [1, 2]
    np.testing.assert_array_equal(store.read(id, 1).corrected.data, first.corrected.data)
    np.testing.assert_array_equal(store.read(id).corrected.data, second.corrected.data)
    one, two = store.record(id, 1), store.record(id)
    assert one.state == "draft"
    assert two.state == "accepted"
    assert one.proposed == two.proposed, "the proposal is kept once"
    assert one.sequence < two.sequence
    assert [record.revision for record in store.records()] == [2]
    assert store.add(first) == id, "back to the first: that is a third revision"
    assert store.revisions(id) == [1, 2, 3]


def test_adding_the_same_writes_nothing(store: CorrectionStore, make_correction: Make) -> None:
    id = store.add(make_correction())
    before = sorted(store.folder.rglob("*"))
    assert store.add(make_correction(seconds=99)) == id
    assert store.add(store.read(id)) == id, "what was read says the same"
    assert sorted(store.folder.rglob("*")) == before


def test_unchanged_slices_are_recorded(store: CorrectionStore, make_correction: Make) -> None:
    made = make_correction()
    left_alone = replace(made, corrected=made.proposed, seen=[(0, 2)])
    id = store.add(left_alone)
    assert (store.record(id).seen, store.record(id).changed) == (((0, 2),), ())
    store.add(replace(left_alone, seen=[(0, 2), (0, 0)]))
    assert store.revisions(id) == [1, 2]


def test_readers_and_structures_are_separate(store: CorrectionStore, make_correction: Make) -> None:
    ids = {
        store.add(make_correction()),
        store.add(make_correction(reader="reader-2")),
        store.add(make_correction(structures={1: "RV", 3: "scar"})),
        store.add(make_correction(seed=1)),
    }
    assert len(ids) == 4
    made = make_correction()
    assert len(store.of_image(identity(made.image))) == 3
    assert len(list((store.folder / "images").iterdir())) == 2, "each image is kept once"


def test_groups(store: CorrectionStore, make_correction: Make, tmp_path: Path) -> None:
    alone = store.record(store.add(make_correction())).group
    assert alone == store.record(store.add(make_correction(reader="other"))).group
    patient = store.group_id("patient 7")
    ids = [store.add(make_correction(seed=n, group=patient)) for n in (1, 2)]
    assert {store.record(id).group for id in ids} == {patient} != {alone}
    later = make_correction(seed=1, state="rejected")
    assert store.record(store.add(later)).group == patient, "an update keeps its group"
    other = CorrectionStore.open(tmp_path / "other", create=True)
    assert other.group_id("patient 7") != patient, "every store has its own salt"
    assert other.add(make_correction()) not in {record.id for record in store.records()}
    with pytest.raises(FlomoError, match="group_id"):
        store.add(make_correction(group="Jane Doe"))


def test_hash_of_another_image(store: CorrectionStore, make_correction: Make) -> None:
    other = identity(make_correction(seed=5).image)
    with pytest.raises(FlomoError, match="another image"):
        store.add(make_correction(image_hash=other))
    store.add(make_correction(seed=5))  # also when the store knows that image
    with pytest.raises(FlomoError, match="another image"):
        store.add(make_correction(image_hash=other))
    assert len(store.records()) == 1


def test_geometry_that_nifti_rounds(store: CorrectionStore, make_correction: Make) -> None:
    """NIfTI keeps float32: the copy may hash differently, and is the same image all the same."""
    rng = np.random.default_rng(3)
    different = 0
    for _ in range(20):
        origin = tuple(rng.uniform(-400, 400, 3))
        image = Volume(rng.integers(0, 99, (2, 16, 18), np.int16), Geometry((1.1, 1.1, 8), origin))
        id = store.add(make_correction(image))
        back = store.read(id)
        assert back.image is not None
        different += identity(back.image) != identity(image)
        assert store.add(replace(back, state="draft")) == id
        assert store.revisions(id) == [1, 2]
    assert different, "the case that is tested did not come up"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: {"corrected": c.corrected.with_data(c.corrected.data + np.uint8(1))}, "code 2"),
        (lambda c: {"corrected": replace(c.corrected, data=c.corrected.data[:2])}, "do not fit"),
        (
            lambda c: {
                "proposed": replace(
                    c.corrected, geometry=replace(c.corrected.geometry, origin=(0, 0, 0))
                )
            },
            "shifted by",
        ),
        (lambda c: {"corrected": c.corrected.with_data(c.corrected.data * 0.5)}, "whole numbers"),
        (lambda c: {"seen": [(0, 3)]}, "Slice 3"),
        (lambda c: {"seen": [(1, 0)]}, "frame 1"),
        (lambda c: {"state": "done"}, "draft, accepted or rejected"),
        (lambda c: {"seconds": float("nan")}, "seconds"),
        (lambda c: {"reader": "Jane Doe"}, "alias"),
        (lambda c: {"structures": {}}, "names for codes"),
        (lambda c: {"structures": {1: "x\ny", 3: "LV"}}, "name of a structure"),
        (lambda c: {"software": {"napari": "/home/jane/napari"}}, "version"),
        (lambda c: {"image": None}, "hash of its image"),
    ],
)
def test_mismatched_labels_are_refused(
    make_correction: Make, change: Callable[[Correction], dict], sentence: str
) -> None:
    made = make_correction()
    with pytest.raises(FlomoError, match=sentence):
        replace(made, **change(made))


def test_references_instead_of_copies(tmp_path: Path, make_correction: Make) -> None:
    store = CorrectionStore.open(tmp_path / "store", create=True, copy_images=False)
    made = make_correction()
    id = store.add(made)
    assert list((store.folder / "images").iterdir()) == []
    assert CorrectionStore.open(store.folder).copies_images is False
    back = store.read(id)
    assert back.image is None
    assert back.image_hash == identity(made.image)
    np.testing.assert_array_equal(back.corrected.data, made.corrected.data)
    given = store.read(id, image=made.image)
    assert given.image is made.image
    with pytest.raises(FlomoError, match="not the image"):
        store.read(id, image=make_correction(seed=1).image)
    store.add(replace(painted(back), state="draft"))  # an update without the image
    assert store.revisions(id) == [1, 2]
    assert store.verify() == []


def test_deletion_leaves_a_tombstone(store: CorrectionStore, make_correction: Make) -> None:
    gone, shared = store.add(make_correction()), store.add(make_correction(reader="other"))
    store.remove(gone)
    assert [record.id for record in store.records()] == [shared]
    left = [path.name for path in (store.folder / "corrections" / gone).iterdir()]
    assert left == ["removed.json"]
    assert len(list((store.folder / "images").iterdir())) == 1, "another correction needs it"
    assert store.verify() == []
    with pytest.raises(FlomoError, match="no correction"):
        store.read(gone)
    with pytest.raises(FlomoError, match="no correction"):
        store.remove(gone)
    assert store.merge(make_correction()) == (gone, False), "an import does not bring it back"
    new = store.add(make_correction())
    assert new != gone, "a person may correct the image anew"
    assert store.add(make_correction()) == new
    store.remove(new)
    store.remove(shared)
    assert list((store.folder / "images").iterdir()) == []
    assert store.records() == []
    assert store.verify() == []


def test_order_is_defined_by_sequence_numbers(
    store: CorrectionStore, make_correction: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    ids = []
    for number, year in enumerate((2031, 1970, 2026)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "gmtime", lambda year=year: time.struct_time((year, *[1] * 8)))
            ids.append(store.add(make_correction(seed=number)))
    assert [record.id for record in store.records()] == ids
    assert [record.year for record in store.records()] == [2031, 1970, 2026]
    assert store.verify() == []


def test_folders_that_can_be_opened(tmp_path: Path, store: CorrectionStore) -> None:
    with pytest.raises(FlomoError, match="not a store"):
        CorrectionStore.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.doc").write_text("x")
    with pytest.raises(FlomoError, match="neither empty nor a store"):
        CorrectionStore.open(full, create=True)
    assert [path.name for path in full.iterdir()] == ["thesis.doc"]
    again = CorrectionStore.open(store.folder, create=True)
    assert again.group_id("a") == store.group_id("a"), "an open store is not made anew"
    settings = json.loads((store.folder / "store.json").read_text())
    (store.folder / "store.json").write_text(json.dumps(settings | {"schema": 99}))
    with pytest.raises(FlomoError, match="newer layout 99"):
        CorrectionStore.open(store.folder)


def test_a_real_heart(store: CorrectionStore, repository: Path) -> None:
    image = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    data = np.zeros(image.data.shape, np.int64)
    data[4, 100:140, 90:120] = 2
    id = store.add(Correction(image, image.with_data(data), {2: "LV"}, seen=[(0, 4)]))
    back = store.read(id)
    assert back.proposed is None
    assert back.changed == ((0, 4),)
    assert back.image is not None
    assert identity(back.image) == identity(image) == back.image_hash
    assert back.corrected.geometry == image.geometry
