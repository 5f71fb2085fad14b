"""What hospitals hand out: the same hearts as in ``_clean``, whatever happened to the export."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, find_series, read, read_series
from napari_flomo.volumes.dicom.naming import known_words


@pytest.fixture(scope="module")
def static(cases: Path) -> Volume:
    return read(cases / "_clean" / "static")


def test_the_originals(cine: Volume, static: Volume) -> None:
    assert cine.data.shape == (3, 3, 112, 112)
    assert cine.frame_step == pytest.approx(0.07595, abs=1e-5)
    assert cine.notes == static.notes == ()
    np.testing.assert_array_equal(static.data, cine.data[0])


def test_each_slice_in_a_separate_series(cases: Path, cine: Volume) -> None:
    study = cases / "dicom_series_for_each_slice" / "study"
    for volume in (read(study), read(study, series="11"), read(study / "IM0004.dcm")):
        np.testing.assert_array_equal(volume.data, cine.data)
        assert volume.geometry == cine.geometry
        assert "3 series of one slice each were joined" in volume.notes[-1]
    uid = "1.2.826.0.1.3680043.8.498.77.1"  # asks for that slice alone
    alone = read(study, series=uid)
    np.testing.assert_array_equal(alone.data, cine.data[:, 1:2])
    assert alone.notes == ()


def test_a_slice_half_a_millimetre_off(cases: Path, static: Volume) -> None:
    volume = read(cases / "dicom_uneven_step" / "study")
    np.testing.assert_array_equal(volume.data, static.data)
    assert volume.geometry.same_space(static.geometry, 1e-3)
    assert volume.notes == (
        "The slices are not evenly spaced (9.50 to 10.50 mm); the mean step of 10.00 mm was used.",
    )


@pytest.mark.parametrize("path", ["cd", "cd/DICOMDIR", "cd/PT000000"])
def test_a_cd(cases: Path, static: Volume, path: str) -> None:
    volume = read(cases / "dicom_cd_nested" / path)
    np.testing.assert_array_equal(volume.data, static.data)
    assert volume.geometry == static.geometry


def test_a_cd_with_names_in_lower_case(cases: Path, static: Volume, tmp_path: Path) -> None:
    series = tmp_path / "pt000000" / "st000000" / "se000000"
    series.mkdir(parents=True)
    source = cases / "dicom_cd_nested" / "cd"
    for file in (source / "PT000000" / "ST000000" / "SE000000").iterdir():
        shutil.copy(file, series / f"{file.name.lower()}.;1")
    shutil.copy(source / "DICOMDIR", tmp_path / "dicomdir")
    np.testing.assert_array_equal(read(tmp_path / "dicomdir").data, static.data)
    (series / "im000002.;1").unlink()
    volume = read(tmp_path / "dicomdir")
    assert volume.n_slices == 2
    assert volume.notes == ("1 file that the DICOMDIR lists is missing.",)
    shutil.rmtree(series)
    with pytest.raises(FlomoError, match=r"None of the images that .*dicomdir lists are there"):
        read(tmp_path / "dicomdir")


def test_some_files_of_a_series(cases: Path, cine: Volume) -> None:
    files = sorted((cases / "_clean" / "cine").iterdir())
    np.testing.assert_array_equal(read_series(files[:6]).data, cine.data[:, :2])
    np.testing.assert_array_equal(read_series(files[::-1]).data, cine.data)


def test_found_files_are_the_files_that_are_read(cases: Path, cine: Volume) -> None:
    for name in ("_clean/cine", "dicom_series_for_each_slice/study", "dicom_position_jitter/study"):
        found = find_series(cases / name)
        assert found.shape == cine.data.shape
        names = [[int(path.stem[2:]) for path in frame] for frame in found.files]
        assert names == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
        assert found.geometry == read(cases / name).geometry


def test_notes_name_neither_files_nor_the_patient(cases: Path) -> None:
    for place in cases.glob("dicom_*/*"):
        if place.is_dir():
            text = " ".join(read(place).notes)
            assert ".dcm" not in text
            assert "TEST" not in text
            assert str(cases) not in text


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("CINE_segmented_SAX_b3", ["cine", "short axis"]),
        ("Meyer^Hans 1957-03-02 Cine SA", ["cine", "short axis"]),
        ("MOLLI T1 Map post contrast", ["T1 map", "post-contrast"]),
        ("4D_Flow", ["4D flow"]),
        ("LGE psir 2ch", ["LGE", "2-chamber"]),
        ("Long, Axel / Saxton", []),
    ],
)
def test_words_of_a_series_description(description: str, words: list[str]) -> None:
    assert known_words(description) == words


def test_titles(cases: Path, cine: Volume) -> None:
    assert cine.title == "MR 300"
    joined = read(cases / "dicom_series_for_each_slice" / "study")
    assert re.fullmatch(r"MR \d+-\d+", joined.title)
