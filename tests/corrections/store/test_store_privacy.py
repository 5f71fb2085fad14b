"""Nothing that leads to a patient, a person or a computer gets into a store or out of it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

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


def test_nothing_leaks_from_dicom(
    tmp_path: Path, store: CorrectionStore, write_series: Any, make_correction: Make
) -> None:
    series = tmp_path / "dicom" / "Zwiebelmann"
    tags = {"PatientName": "Zwiebelmann^Karl", "PatientID": "PID-8861"}
    tags |= {"AcquisitionDate": "19470511", "InstitutionName": "Ultraclinic"}
    write_series(series, np.full((1, 3, 20, 22), 50, np.int16), **tags)
    assert len(leaks(series)) > 9, "the series tells"
    image = read(series)
    id = store.add(make_correction(image))
    uid_of_pydicom = "1.2.826"
    assert leaks(store.folder, uid_of_pydicom, str(series.parent)) == []
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
