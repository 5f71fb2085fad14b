"""Reports of a drawn heart: the same numbers in every format, and pages that show them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.measures import WALL_SEGMENTS, measure_study
from napari_flomo.models import load_card, locate
from napari_flomo.reports import Report, report_files, report_text
from napari_flomo.reports.pages import contours_page, make_pdf, measures_page
from napari_flomo.volumes import Volume


def heart(radius: float) -> np.ndarray:
    """Six slices of a left ventricle with a right one on the left side of the picture."""
    row, column = np.indices((72, 72)).astype(float)
    stack = np.zeros((6, 72, 72), np.uint8)
    for number, pixels in enumerate(stack):
        pixels[np.hypot(row - 36, column - 22) < 16 - number] = 1
        pixels[np.hypot(row - 36, column - 42) <= radius + 6 - number] = 2
        pixels[np.hypot(row - 36, column - 42) <= radius - number] = 3
    return stack


@pytest.fixture(scope="module")
def report() -> Report:
    """A cine of three frames: end diastole first, end systole second."""
    card = load_card(locate(DEFAULT_MODEL))
    labels = Volume.from_array(np.stack([heart(16), heart(10), heart(13)]), spacing=(8, 1.5, 1.5))
    image = labels.with_data(labels.data.astype(np.int16) * 40 + 10)
    measures = measure_study(labels, card.labels, height_cm=180, weight_kg=80)
    return Report(
        measures, [labels], card.labels, [image], card, accepted="18 of 18 slices accepted"
    )


def test_every_format_has_the_same_numbers(report, tmp_path):
    paths = {ending: tmp_path / f"heart{ending}" for ending in (".pdf", ".csv", ".json", ".txt")}
    write_all(report_files(report, [str(path) for path in paths.values()]))
    rows = {row.name: row for row in report.rows()}
    assert rows["LV EDV"].value == pytest.approx(report.measures.heart.left.edv_ml)
    with paths[".csv"].open(newline="") as stream:
        table = {row["measure"]: row for row in csv.DictReader(stream)}
    content = json.loads(paths[".json"].read_text())
    text = paths[".txt"].read_text()
    choices = {f"convention: {name}": one for name, one in content["conventions"].items()}
    assert {name: row["value"] for name, row in table.items() if name in choices} == {
        name: str(choice) for name, choice in choices.items()
    }
    assert set(table) - set(choices) == set(rows) == {row["name"] for row in content["rows"]}
    assert all(line in text for line in content["conventions_text"])
    for name, row in rows.items():
        assert float(table[name]["value"]) == pytest.approx(row.value, rel=1e-3)
        assert f"{name}: {row.value:.1f} {row.unit}" in text
    assert table["LV EF"]["limits_of_agreement"] == rows["LV EF"].limits != ""
    assert content["model"]["name"] == DEFAULT_MODEL
    assert "18 of 18 slices accepted" in text
    assert paths[".pdf"].read_bytes().startswith(b"%PDF")


def test_nothing_about_a_patient_unless_typed(report):
    assert "patient" not in report_text(report).lower()
    assert "Case 7" in report_text(replace(report, patient="Case 7"))


def test_the_page_shows_table_curves_and_bullseyes(report):
    figure = measures_page(report)
    table, curves, *bullseyes = figure.axes
    cells = {cell.get_text().get_text() for cell in table.tables[0].get_celld().values()}
    row = next(row for row in report.rows() if row.name == "LV EDV")
    assert {"LV EDV", f"{row.value:.1f} ml", row.limits} <= cells
    lines = {line.get_label(): line.get_ydata() for line in curves.get_lines()}
    edv, esv = lines["left ventricle"][0], lines["left ventricle"][1]
    assert (edv, esv) == (row.value, report.measures.heart.left.esv_ml)
    assert [one.get_title() for one in bullseyes] == [
        "Wall thickness, ED (mm)",
        "Thickening, ED to ES (%)",
    ]


def test_the_bullseye_has_anterior_on_top_and_the_septum_left(report):
    bullseye = measures_page(report).axes[2]
    known = dict(zip(WALL_SEGMENTS, report.measures.wall["ED"].segments_mm, strict=True))
    for name, direction in (
        ("basal anterior", (0, 1)),
        ("basal inferior", (0, -1)),
        ("basal anteroseptal", (-1, 1)),
        ("basal inferolateral", (1, -1)),
        ("apical septal", (-1, 0)),
        ("apical lateral", (1, 0)),
    ):
        number = WALL_SEGMENTS.index(name)
        angle = bullseye.texts[number].get_position()[0]
        assert bullseye.texts[number].get_text() == f"{known[name]:.1f}"
        for part, sign in zip((np.cos(angle), np.sin(angle)), direction, strict=True):
            assert np.sign(round(part, 6)) == sign


def test_contours_of_both_phases(report):
    figure = contours_page(report)
    assert [text.get_text() for text in figure.texts[1:3]] == ["ED, frame 1", "ES, frame 2"]
    assert len(figure.axes) == 12
    assert all(len(axes.collections) == 3 for axes in figure.axes)


def test_the_same_study_gives_the_same_file(report):
    assert make_pdf(report) == make_pdf(report)
    assert make_pdf(replace(report, images=())) != make_pdf(report)


def test_other_structures_have_their_volumes(report):
    names = [label for label in report.names if label.code == 2]
    labels = report.labels[0]
    other = Report(measure_study(labels, names), [labels], names)
    assert [(row.name, row.unit) for row in other.rows()] == [(names[0].name, "ml")]
    assert make_pdf(other).startswith(b"%PDF")


def test_a_single_frame_has_volumes_mass_and_wall(report):
    labels = report.labels[0].frame(0)
    measures = measure_study(labels, report.names, height_cm=180, weight_kg=80)
    single = Report(measures, [labels], report.names)
    rows = {row.name: row for row in single.rows()}
    assert list(rows)[-2:] == ["LV mass", "Wall"]
    assert rows["left ventricle"].indexed == pytest.approx(rows["left ventricle"].value / 2)


def test_an_unknown_ending(report):
    with pytest.raises(FlomoError, match=r"\.pdf, \.csv, \.json or \.txt"):
        report_files(report, ["heart.docx"])
