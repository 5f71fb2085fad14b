"""Other tools take what is exported, with the right voxels at the right place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.corrections.exchange import Selection, export
from napari_flomo.corrections.exchange.cases import folds
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import read

Correct = Callable[..., Correction]


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_nnunet(filled: CorrectionStore, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset501_Corrections"
    done = export(filled, folder, "nnunet")
    assert (done.cases, done.skipped) == (5, ())
    description = load(folder / "dataset.json")
    assert description["channel_names"] == {"0": "MR"}
    assert description["labels"] == {"background": 0, "RV": 1, "LV": 2, "ignore": 3}
    assert description["original_codes"] == {"RV": 1, "LV": 5}
    assert description["numTraining"] == 5
    images = sorted(path.name for path in (folder / "imagesTr").iterdir())
    labels = sorted(path.name for path in (folder / "labelsTr").iterdir())
    assert images == [name.replace(".nii.gz", "_0000.nii.gz") for name in labels]
    for image, label in zip(images, labels, strict=True):
        grids = [
            SimpleITK.ReadImage(str(folder / d / n))
            for d, n in (("imagesTr", image), ("labelsTr", label))
        ]
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(grids[0], get)() == getattr(grids[1], get)()


def test_nnunet_voxels_and_unseen_slices(filled: CorrectionStore, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset501_Corrections"
    export(filled, folder, "nnunet")
    partly = filled.records()[1]  # only slice 1 was seen
    correction = filled.read(partly.id)
    written = read(folder / "labelsTr" / f"flomo-{partly.id}-000.nii.gz")
    wanted = np.where(correction.corrected.data == 5, 2, correction.corrected.data)
    np.testing.assert_array_equal(written.data[1], wanted[1])
    assert (written.data[[0, 2]] == 3).all()
    assert correction.image is not None
    image = read(folder / "imagesTr" / f"flomo-{partly.id}-000_0000.nii.gz")
    np.testing.assert_array_equal(image.data, correction.image.data)
    assert image.geometry == correction.image.geometry
    cine = filled.records()[3]  # frame 2, of which only slice 1 was seen; frame 1 not at all
    frame = read(folder / "imagesTr" / f"flomo-{cine.id}-002_0000.nii.gz")
    whole = filled.read(cine.id).image
    assert whole is not None
    np.testing.assert_array_equal(frame.data, whole.data[2])
    assert not (folder / "imagesTr" / f"flomo-{cine.id}-001_0000.nii.gz").exists()


def test_nnunet_split_keeps_patients_together(filled: CorrectionStore, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset501_Corrections"
    export(filled, folder, "nnunet")
    splits = load(folder / "splits_final.json")
    group = {record.id: record.group for record in filled.records()}
    names = {path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").iterdir()}
    assert len(splits) == 3
    for split in splits:
        assert set(split["train"]) | set(split["val"]) == names
        sides = [{group[name.split("-")[1]] for name in split[side]} for side in ("train", "val")]
        assert not sides[0] & sides[1]
    assert sorted(name for split in splits for name in split["val"]) == sorted(names)


def test_monai(filled: CorrectionStore, tmp_path: Path) -> None:
    export(filled, tmp_path / "monai", "monai")
    datalist = load(tmp_path / "monai" / "datalist.json")
    assert datalist["labels"] == {"0": "background", "1": "RV", "2": "LV"}
    items = datalist["training"]
    assert datalist["numTraining"] == len(items) == 5
    of_group: dict[str, set[int]] = {}
    for item in items:
        of_group.setdefault(item["group"], set()).add(item["fold"])
        image, label = (nibabel.load(tmp_path / "monai" / item[key]) for key in ("image", "label"))
        assert image.shape == label.shape == (24, 20, 3)
        np.testing.assert_array_equal(image.affine, label.affine)
        assert set(np.unique(label.dataobj)) <= {0, 1, 2}
    assert len(of_group) == 3
    assert all(len(found) == 1 for found in of_group.values())
    assert sorted(item["seen"] for item in items)[:2] == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.slow
def test_monai_itself_reads_the_list(filled: CorrectionStore, tmp_path: Path) -> None:
    data = pytest.importorskip("monai.data", reason="MONAI is not installed")
    export(filled, tmp_path / "monai", "monai")
    items = data.load_decathlon_datalist(tmp_path / "monai" / "datalist.json", True, "training")
    assert len(items) == 5
    for item in items:
        assert Path(item["image"]).is_file()
        assert Path(item["label"]).is_file()


def test_bids(filled: CorrectionStore, tmp_path: Path) -> None:
    done = export(filled, tmp_path / "bids", "bids")
    assert done.cases == 4, "a cine stays one file"
    description = load(tmp_path / "bids" / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "napari-flomo"
    for record in filled.records()[:4]:
        stem = f"sub-{record.group}/anat/sub-{record.group}_desc-{record.id}_dseg"
        labels = read(tmp_path / "bids" / f"{stem}.nii.gz")
        np.testing.assert_array_equal(labels.data, filled.read(record.id).corrected.data)
        rows = (tmp_path / "bids" / f"{stem}.tsv").read_text().splitlines()
        assert rows == ["index\tname", "0\tbackground", "1\tRV", "5\tLV"]
        sidecar = load(tmp_path / "bids" / f"{stem}.json")
        (source,) = sidecar["Sources"]
        image = read(tmp_path / "bids" / source.removeprefix("bids::"))
        assert image.geometry == labels.geometry
        assert sidecar["SlicesSeen"] == [list(place) for place in record.seen]


def test_what_is_chosen(filled: CorrectionStore, tmp_path: Path) -> None:
    drafts = export(filled, tmp_path / "drafts", "monai", Selection(("draft",)))
    assert drafts.cases == 1
    both = export(filled, tmp_path / "both", "monai", Selection(("draft", "accepted"), "heart"))
    assert both.cases == 6
    for selection in (Selection(("rejected",)), Selection(model="lung")):
        with pytest.raises(FlomoError, match="nothing to export"):
            export(filled, tmp_path / "none", "bids", selection)
    assert not (tmp_path / "none").exists()


def test_failed_export_leaves_no_files(
    filled: CorrectionStore, correct: Correct, tmp_path: Path
) -> None:
    with pytest.raises(FlomoError, match="Dataset501"):
        export(filled, tmp_path / "mine", "nnunet")
    with pytest.raises(FlomoError, match="no format tar"):
        export(filled, tmp_path / "mine", "tar")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    with pytest.raises(FlomoError, match="exists already"):
        export(filled, tmp_path / "full", "bids")
    filled.add(correct(7, structures={1: "RV", 5: "scar"}))
    with pytest.raises(FlomoError, match="different label tables"):
        export(filled, tmp_path / "mine", "bids")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"filled", "full"}


def test_damaged_and_absent_images_are_reported(
    filled: CorrectionStore, correct: Correct, tmp_path: Path
) -> None:
    (filled.folder / filled.records()[0].corrected.file).write_bytes(b"rubbish")
    done = export(filled, tmp_path / "out", "bids")
    assert done.cases == 3
    assert "was changed" in done.skipped[0]
    hashes = CorrectionStore.open(tmp_path / "hashes", create=True, copy_images=False)
    hashes.add(correct())
    with pytest.raises(FlomoError, match="no copy of the image"):
        export(hashes, tmp_path / "nothing", "monai")
    seen_nothing = CorrectionStore.open(tmp_path / "unseen", create=True)
    seen_nothing.add(replace(correct(), seen=()))
    with pytest.raises(FlomoError, match="No slice was seen"):
        export(seen_nothing, tmp_path / "nothing", "monai")


def test_folds_are_even_and_always_the_same() -> None:
    groups = ["a"] * 4 + ["b"] * 3 + ["c", "d", "e", "f", "g", "h"]
    first = folds(groups)
    assert first == folds(groups[::-1])
    assert set(first.values()) == set(range(5))
    loads = [sum(first[group] == fold for group in groups) for fold in range(5)]
    assert max(loads) <= 4
    assert folds(["a", "a"]) == {"a": 0}
