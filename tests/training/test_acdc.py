"""Preparation of a small data set in the layout of ACDC."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil

import nibabel
import numpy as np
import pytest

from flomo_training.acdc import prepare_acdc
from flomo_training.cases import list_cases, read_case
from napari_flomo.cli import main
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, read, write

GRID = Geometry((1.5, 1.5, 10.0))
GROUPS = ("DCM", "HCM", "MINF", "NOR", "RV")
ES = 3


def beating(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a cine (4, 3, 40, 36) and labels of all its frames."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:40, :36]
    image = rng.integers(0, 60, (4, 3, 40, 36)).astype(np.int16)
    codes = np.zeros(image.shape, np.uint8)
    for frame in range(4):
        radius = np.hypot(row - 20, column - 18)
        for code, outer in ((1, 15), (2, 11 - frame), (3, 8 - frame)):
            codes[frame, :, radius < outer] = code
    return image + 40 * codes.astype(np.int16), codes


@pytest.fixture
def official(tmp_path):
    """Ten patients under ``training/``, two of each pathology."""
    for number in range(1, 11):
        patient = f"patient{number:03d}"
        folder = tmp_path / "ACDC" / "training" / patient
        folder.mkdir(parents=True)
        (folder / "Info.cfg").write_text(
            f"ED: 1\nES: {ES}\nGroup: {GROUPS[number % 5]}\nHeight: 170\nNbFrame: 4\nWeight: 70\n"
        )
        image, codes = beating(number)
        cine = Volume(image, GRID, ("frames", "slices", "rows", "columns"), modality="MR")
        write(cine, folder / f"{patient}_4d.nii.gz")
        for frame in (1, ES):
            stem = f"{patient}_frame{frame:02d}"
            write(Volume(image[frame - 1], GRID), folder / f"{stem}.nii.gz")
            write(Volume(codes[frame - 1], GRID), folder / f"{stem}_gt.nii.gz")
    return tmp_path / "ACDC"


def test_official_layout_is_prepared(official, tmp_path, capsys, read_cases):
    out = tmp_path / "out"
    command = ["data", "prepare", "acdc", "--source", str(official), "--out", str(out)]
    assert main(command) == 0
    assert "Prepared data" in capsys.readouterr().err
    rows = read_cases(out)
    assert len(rows) == 20
    row = rows["patient002_frame03"]
    assert (row["patient"], row["phase"], row["group"]) == ("patient002", "ES", "MINF")
    assert (row["slices"], row["rows"], row["cols"]) == ("3", "40", "36")
    _, codes = beating(2)
    assert float(row["lv_ml"]) == pytest.approx((codes[ES - 1] == 3).sum() * 0.0225, abs=0.01)
    taken = out / "images/patient002_frame03.nii.gz"
    assert (
        taken.read_bytes()
        == (official / "training/patient002/patient002_frame03.nii.gz").read_bytes()
    )
    for fold in range(5):
        held_out = list_cases(out, fold, "validation")
        assert len({case.patient for case in held_out}) == 2
        assert len(held_out) == 4
    hashes = json.loads((out / "manifest.json").read_text())["sha256"]
    assert len(hashes) == 42
    for name, value in hashes.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == value


def test_phase_is_extracted_from_the_cine(official, tmp_path):
    folder = official / "training/patient004"
    (folder / "patient004_frame03.nii.gz").unlink()
    prepare_acdc(official, tmp_path / "out")
    image, labels = read_case(
        next(c for c in list_cases(tmp_path / "out", 0, "all") if c.name == "patient004_frame03")
    )
    assert np.array_equal(image.data, beating(4)[0][ES - 1])
    assert image.geometry.same_space(labels.geometry)
    info = folder / "Info.cfg"
    info.write_text(info.read_text().replace(f"ES: {ES}", "ES: 9"))
    (folder / "patient004_frame03_gt.nii.gz").rename(folder / "patient004_frame09_gt.nii.gz")
    with pytest.raises(FlomoError, match=r"has 4 frames, but Info\.cfg refers to frame 9"):
        prepare_acdc(official, tmp_path / "other")


def test_interrupted_preparation_is_resumed(official, tmp_path):
    out, last = tmp_path / "out", official / "training/patient010/patient010_frame03_gt.nii.gz"
    whole = last.read_bytes()
    last.write_bytes(whole[:50])
    with pytest.raises(FlomoError, match="patient010_frame03_gt"):
        prepare_acdc(official, out)
    assert not (out / "cases.csv").exists()
    with pytest.raises(FlomoError, match="incomplete"):
        list_cases(out, 0, "training")
    first = out / "images/patient001_frame01.nii.gz"
    written = first.stat().st_mtime_ns
    last.write_bytes(whole)
    prepare_acdc(official, out)
    assert first.stat().st_mtime_ns == written
    assert not [path for path in out.rglob("*") if path.name.startswith(".flomo")]
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    prepare_acdc(official, out)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_prepared_folder_can_be_prepared_and_keeps_its_folds(official, tmp_path, read_cases):
    prepare_acdc(official, tmp_path / "first")
    path = tmp_path / "first/folds.json"
    folds = json.loads(path.read_text())
    folds["folds"] = folds["folds"][::-1]
    path.write_text(json.dumps(folds))
    prepare_acdc(tmp_path / "first", tmp_path / "second")
    assert json.loads((tmp_path / "second/folds.json").read_text())["folds"] == folds["folds"]
    assert read_cases(tmp_path / "second") == read_cases(tmp_path / "first")


def test_missing_files_are_reported_before_writing(official, tmp_path):
    (official / "training/patient003/patient003_frame01_gt.nii.gz").unlink()
    (official / "training/patient005/Info.cfg").unlink()
    info = official / "training/patient007/Info.cfg"
    info.write_text(info.read_text().replace("ES: 3\n", ""))
    with pytest.raises(FlomoError) as caught:
        prepare_acdc(official, tmp_path / "out")
    for name in ("patient003_frame01_gt.nii.gz", "patient005/Info.cfg", "ES in patient007"):
        assert name in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image, codes: (image.astype(np.float32) + np.nan, codes), "NaN"),
        (lambda image, codes: (image, codes * 2), "contain the code 4"),
        (lambda image, codes: (image, codes * 0), "are empty"),
        (lambda image, codes: (image[:, :-1], codes), "different grids"),
        (lambda image, codes: (image * 0, codes), "is constant"),
    ],
)
def test_wrong_content_is_refused(official, tmp_path, spoil, message):
    image, codes = beating(6)
    image, codes = spoil(image[0], codes[0])
    folder = official / "training/patient006"
    write(Volume(image, GRID), folder / "patient006_frame01.nii.gz")
    write(Volume(codes, GRID), folder / "patient006_frame01_gt.nii.gz")
    with pytest.raises(FlomoError, match=message):
        prepare_acdc(official, tmp_path / "out")


def test_the_folder_of_one_patient_is_enough(official, tmp_path, read_cases):
    folder = (official / "training" / "patient004").rename(tmp_path / "download")
    prepare_acdc(folder, tmp_path / "out")
    rows = read_cases(tmp_path / "out")
    assert list(rows) == ["patient004_frame01", "patient004_frame03"]
    assert {row["patient"] for row in rows.values()} == {"patient004"}
    (folder / "patient005_4d.nii.gz").touch()
    with pytest.raises(FlomoError, match="files of 2 patients"):
        prepare_acdc(folder, tmp_path / "again")


def test_the_published_split_holds_out_its_20_patients_only(official, tmp_path, monkeypatch):
    monkeypatch.setattr("flomo_training.acdc.PUBLISHED_TEST", (2, 3))
    out = tmp_path / "out"
    command = ["data", "prepare", "acdc", "--source", str(official), "--out", str(out)]
    assert main([*command, "--published-split"]) == 0
    held_out = {case.patient for case in list_cases(out, 0, "validation")}
    trained = {case.patient for case in list_cases(out, 0, "training")}
    assert held_out == {"patient002", "patient003"}
    assert trained == {f"patient{number:03d}" for number in (1, *range(4, 11))}
    assert len(list_cases(out, None, "training")) == 20
    # Prepared once more, the split stays.
    prepare_acdc(out, tmp_path / "again")
    assert (tmp_path / "again/folds.json").read_text() == (out / "folds.json").read_text()


def test_the_published_split_needs_all_of_its_patients(official, tmp_path, capsys):
    command = ["data", "prepare", "acdc", "--source", str(official), "--out", str(tmp_path / "o")]
    assert main([*command, "--published-split"]) == 2
    assert "patient012 of the published test split is missing (16 of 20" in capsys.readouterr().err


def test_a_folder_with_other_files_is_left_alone(official, tmp_path):
    (tmp_path / "out/images").mkdir(parents=True)
    (tmp_path / "out/images/holiday.png").write_bytes(b"x")
    with pytest.raises(FlomoError, match=r"holiday\.png"):
        prepare_acdc(official, tmp_path / "out")
    assert main(["data", "prepare", "acdc", "--source", str(official), "--out", str(official)]) == 2


def unscale(path):
    """Give a file an unscaled sform, as in the original data."""
    image = nibabel.load(path)
    header = image.header.copy()
    header.set_qform(None, 0)
    header.set_sform(np.diag([-1, -1, 1, 1]), 2)
    header.set_xyzt_units("unknown", "unknown")
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))


@pytest.mark.parametrize("patients", [10, 1])
def test_headers_without_scale_give_the_same_volumes(
    official, tmp_path, capsys, read_cases, patients
):
    """Also for a subset of the data set, with phases that exist only in the cine."""
    right = tmp_path / "right"
    prepare_acdc(official, right)
    folders = sorted((official / "training").iterdir())
    for folder in folders[patients:]:
        shutil.rmtree(folder)
    for folder in folders[:patients]:
        (folder / f"{folder.name}_frame01.nii.gz").unlink()
        for path in folder.glob("*.nii.gz"):
            unscale(path)
    capsys.readouterr()
    prepare_acdc(official, tmp_path / "out")
    message = capsys.readouterr().err
    assert message.startswith(
        f"Note on {2 * patients} of {2 * patients} cases, such as patient001_frame0"
    )
    assert "the pixdim was used" in message
    wanted, found = read_cases(right), read_cases(tmp_path / "out")
    assert len(found) == 2 * patients
    for case, row in found.items():
        assert row == wanted[case]
    cases = [
        c
        for fold in range(min(patients, 5))
        for c in list_cases(tmp_path / "out", fold, "validation")
    ]
    assert len(cases) == 2 * patients
    for case in cases:
        image, labels = read_case(case)
        np.testing.assert_allclose(image.geometry.spacing, GRID.spacing)
        assert labels.geometry == image.geometry


def test_labels_in_another_storage(official, tmp_path):
    """Flipped rows at the same position are counted and trained on correctly."""
    path = official / "training/patient004/patient004_frame01_gt.nii.gz"
    labels = read(path)
    codes = labels.data.copy()
    codes[:, :25] = 0  # so that it matters
    write(labels.with_data(codes), path)
    affine = labels.geometry.affine_lps()
    affine[:3, 3] += affine[:3, 1] * (codes.shape[1] - 1)
    affine[:3, 1] *= -1
    write(Volume(codes[:, ::-1], Geometry.from_affine_lps(affine)), path)
    prepare_acdc(official, tmp_path / "out")
    case = next(c for c in list_cases(tmp_path / "out", 0, "all") if c.name == "patient004_frame01")
    image, aligned = read_case(case)
    np.testing.assert_array_equal(aligned.data, codes)
    assert aligned.geometry == image.geometry
    write(Volume(codes, Geometry((1.5, 1.5, 10.0), (0, 4.0, 0))), path)
    with pytest.raises(FlomoError, match=r"patient004_frame01 .* different grids: .* 2\.67 voxels"):
        prepare_acdc(official, tmp_path / "other")


@pytest.mark.shared
def test_a_patient_as_the_makers_hand_it_out(shared, tmp_path, read_cases):
    """Original headers give the same volumes as a correct affine."""
    folder = tmp_path / "ACDC/training/patient090"
    shutil.copytree(shared / "data/acdc_cine", folder)
    prepare_acdc(tmp_path / "ACDC", tmp_path / "out")
    rows = read_cases(tmp_path / "out")
    known = read_cases(shared / "data/acdc")
    for mine, its in (
        ("patient090_frame04", "patient090_frame01"),
        ("patient090_frame11", "patient090_frame02"),
    ):
        for column in ("rv_ml", "myo_ml", "lv_ml", "phase", "group", "original_frame"):
            assert rows[mine][column] == known[its][column]
        cases = {c.name: c for c in list_cases(tmp_path / "out", 0, "validation")}
        image, labels = read_case(cases[mine])
        assert labels.geometry == image.geometry
        clean = read(shared / f"data/acdc/images/{its}.nii.gz")
        np.testing.assert_array_equal(image.data - image.data.min(), clean.data - clean.data.min())
