"""Nothing that leads to a patient, a person or a computer gets into a store or out of it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.corrections.exchange import export, import_folder
from napari_flomo.volumes import read

Make = Callable[..., Correction]

PLANTED = ("Zwiebelmann", "19470511", "PID-8861", "Ultraclinic", "geheim")


def texts(folder: Path) -> dict[Path, bytes]:
    """Return the bytes of all files, unpacked too, and the names of all."""
    found = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if content[:2] == b"\x1f\x8b":
            content += gzip.decompress(content)
        found[path] = path.relative_to(folder).as_posix().encode() + b"\n" + content
    return found


def leaks(folder: Path, *more: str) -> list[str]:
    return [
        f"{word} in {path}"
        for path, content in texts(folder).items()
        for word in (*PLANTED, *more)
        if word.lower().encode() in content.lower()
    ]


@pytest.fixture
def telling_file(tmp_path: Path) -> Path:
    """A NIfTI file that tells who it is of, in every text field, its name and its folder."""
    folder = tmp_path / "geheim" / "Zwiebelmann_19470511"
    folder.mkdir(parents=True)
    data = np.random.default_rng(0).integers(0, 400, (20, 22, 3)).astype(np.int16)
    image = nibabel.Nifti1Image(data, np.diag([1.5, 1.5, 8, 1]))
    image.header["descrip"] = b"Zwiebelmann 19470511 PID-8861"
    image.header["aux_file"] = b"Ultraclinic"
    image.header["intent_name"] = b"PID-8861"
    image.header["db_name"] = b"PID-8861"
    text = "Zwiebelmann^Karl 19470511 PID-8861 Ultraclinic"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", text.encode()))
    path = folder / "PID-8861_Zwiebelmann.nii.gz"
    nibabel.save(image, path)
    return path


def test_nothing_leaks(tmp_path: Path, telling_file: Path, make_correction: Make) -> None:
    image = read(telling_file)
    assert "Zwiebelmann" in image.source, "the reader knows the name, so it could leak"
    assert leaks(telling_file.parent), "the search finds what is there"
    image = replace(image, modality="Ultraclinic PID-8861")
    store = CorrectionStore.open(tmp_path / "store", create=True)
    made = make_correction(image)
    for state in ("draft", "accepted"):
        store.add(replace(made, state=state, group=store.group_id("Zwiebelmann 19470511")))
    gone = store.add(replace(made, reader="other"))
    store.remove(gone)
    path = str(tmp_path)
    assert leaks(store.folder, path) == []
    for format, name in (("nnunet", "Dataset501_X"), ("bids", "bids"), ("monai", "monai")):
        export(store, tmp_path / name, format)
        assert leaks(tmp_path / name, path) == []


@pytest.fixture
def telling_series(tmp_path: Path) -> Path:
    """A DICOM series with the tags that tell who, where and when."""
    folder = tmp_path / "dicom" / "Zwiebelmann"
    folder.mkdir(parents=True)
    tags = {
        "0008|0060": "MR",
        "0008|0022": "19470511",  # date of acquisition
        "0008|0080": "Ultraclinic",
        "0010|0010": "Zwiebelmann^Karl",
        "0010|0020": "PID-8861",
        "0010|0030": "19470511",
        "0018|0050": "8",
        "0020|000d": "1.2.826.0.1.8861.1",
        "0020|000e": "1.2.826.0.1.8861.2",
        "0020|0037": "1\\0\\0\\0\\1\\0",
    }
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(3):
        slice_ = SimpleITK.GetImageFromArray(np.full((1, 20, 22), 50 + number, np.int16))
        slice_.SetSpacing((1.5, 1.5, 8))
        place = {
            "0008|0018": f"1.2.826.0.1.8861.3.{number + 1}",
            "0020|0032": f"0\\0\\{8 * number}",
            "0020|0013": str(number + 1),
        }
        for tag, value in (tags | place).items():
            slice_.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number}.dcm"))
        writer.Execute(slice_)
    return folder


def test_nothing_leaks_from_dicom(
    store: CorrectionStore, telling_series: Path, make_correction: Make
) -> None:
    assert len(leaks(telling_series)) > 9, "the series tells"
    image = read(telling_series)
    assert image.spatial_shape == (3, 20, 22)
    id = store.add(make_correction(image))
    assert leaks(store.folder, "1.2.826", str(telling_series.parent)) == []
    assert store.record(id).image.modality == "MR"


def test_nothing_leaks_from_an_import(
    tmp_path: Path, telling_file: Path, make_correction: Make
) -> None:
    dataset = tmp_path / "dataset"
    for name in ("imagesTr", "labelsTr"):
        (dataset / name).mkdir(parents=True)
    image = nibabel.load(telling_file)
    nibabel.save(image, dataset / "imagesTr" / "Zwiebelmann_19470511_0000.nii.gz")
    labels = nibabel.Nifti1Image((np.asarray(image.dataobj) > 300).astype(np.uint8), image.affine)
    nibabel.save(labels, dataset / "labelsTr" / "Zwiebelmann_19470511.nii.gz")
    store = CorrectionStore.open(tmp_path / "store", create=True)
    done = import_folder(store, dataset, patient="^([A-Za-z]+)_")
    assert done.added == 1
    assert leaks(store.folder, str(tmp_path)) == []


def test_no_times_of_day(store: CorrectionStore, make_correction: Make) -> None:
    import re
    import time

    store.add(make_correction())
    now = time.gmtime()
    day = f"{now.tm_year}-{now.tm_mon:02}"
    for path in (*store.folder.rglob("*.json"), store.folder / "history.jsonl"):
        text = path.read_text()
        assert day not in text
        assert not re.search(r"\b\d{1,2}:\d{2}:\d{2}\b", text)
        assert str(int(time.time()))[:6] not in re.sub(r'"[0-9a-f]{8,}"', "", text)
