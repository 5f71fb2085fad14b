"""The report of the chosen image: shown, saved and copied."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import add_volume

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

import slicer
import widget_stubs
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from napari_flomo.measures import Conventions
from napari_flomo.volumes import read


@pytest.fixture
def report(driver, oblique):
    """The dialog of a stack of which one slice is accepted, opened by a click on its button."""
    ui = driver.panel.measures.ui
    assert not ui.reportButton.enabled
    driver.run(add_volume(oblique))
    driver.click(driver.panel.review.ui.nextButton)
    driver.click(driver.panel.review.ui.acceptButton)
    driver.click(ui.reportButton)
    yield driver.panel.measures.report
    driver.panel.measures.report.dialog.close()


def test_the_report_follows_what_is_typed(report):
    ui = report.ui
    assert "A person accepted 1 of 4 slices." in text_of(report)
    for box, value in ((ui.heightBox, "180"), (ui.weightBox, "80")):
        box.wrapped.selectAll()
        QTest.keyClicks(box.wrapped, value)
    QTest.keyClicks(ui.patientEdit.wrapped, "Study 7")
    assert "Body surface: 2.00 m2" in text_of(report)
    assert "Study 7" in text_of(report)
    ui.weightBox.setValue(0)
    assert "give both" in ui.reportLine.text
    assert not ui.saveReportButton.enabled


def test_conventions_hold_for_the_table_of_measures(driver, report):
    ui, logic = report.ui, driver.panel.logic
    ui.densityBox.setValue(1.1)
    assert "1.1 g/ml" in text_of(report)
    assert logic.preferences.conventions == Conventions(density_g_per_ml=1.1)
    table = driver.panel.current.results.table.GetTable()
    cells = [table.GetValue(row, 1).ToString() for row in range(table.GetNumberOfRows())]
    assert any("1.1 g/ml" in cell for cell in cells)
    box = ui.sliceGapsBox.wrapped
    QTest.keyClick(box, Qt.Key.Key_End)  # the slice thickness is not known
    assert "slice thickness of this image is not known" in ui.reportLine.text
    assert not ui.saveReportButton.enabled
    assert logic.preferences.conventions.slice_gaps == "included"
    QTest.keyClick(box, Qt.Key.Key_Home)
    QTest.keyClicks(ui.heartRateBox.wrapped, "0")
    assert ui.saveReportButton.enabled


def test_saved_and_copied(driver, report, tmp_path, monkeypatch):
    ui = report.ui
    for name, written in (("heart", "heart.pdf"), ("heart.csv", "heart.csv")):
        monkeypatch.setattr(widget_stubs.FileDialog, "path", str(tmp_path / name))
        ui.saveReportButton.click()
        assert str(tmp_path / written) in ui.reportLine.text
    assert (tmp_path / "heart.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "heart.pdf").write_text("mine")
    monkeypatch.setattr(widget_stubs.FileDialog, "path", str(tmp_path / "heart"))
    driver.answer = False
    ui.saveReportButton.click()
    assert "heart.pdf exists" in driver.asked[-1]
    assert (tmp_path / "heart.pdf").read_text() == "mine"
    ui.copyTextButton.click()
    assert QApplication.clipboard().text() == text_of(report)
    ui.copyTableButton.click()
    assert QApplication.clipboard().text().startswith("measure\tvalue\tunit")


class DicomDatabase:
    """Stands for Slicer's ctkDICOMDatabase, which slicer-core lacks, with one series."""

    def __init__(self, files, series):
        self.files, self.series = files, series

    def fileForInstance(self, uid):
        return self.files.get(uid, "")

    def filesForSeries(self, uid):
        return list(self.files.values()) if uid == self.series else []


@pytest.fixture
def dicom_node(oblique, write_series, tmp_path, monkeypatch):
    """A volume node of a DICOM series in the database, and the UIDs of its images."""
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    write_series(tmp_path / "series", oblique.data[np.newaxis].astype(np.int16))
    headers = {str(file): pydicom.dcmread(file) for file in (tmp_path / "series").iterdir()}
    files = {str(header.SOPInstanceUID): file for file, header in headers.items()}
    series = next(iter(headers.values())).SeriesInstanceUID
    database = DicomDatabase(files, series)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    return add_volume(read(tmp_path / "series")), database


@pytest.mark.parametrize("known_by", ["images", "series", ""])
def test_a_structured_report_of_a_dicom_series(known_by, driver, dicom_node, tmp_path, monkeypatch):
    """It is written with segmentations that it refers to; not for what came from elsewhere."""
    highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed")
    node, database = dicom_node
    if known_by == "images":
        node.SetAttribute("DICOM.instanceUIDs", " ".join(database.files))
    elif known_by:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        hierarchy.SetItemUID(hierarchy.GetItemByDataNode(node), "DICOM", database.series)
    driver.run(node)
    driver.click(driver.panel.measures.ui.reportButton)
    report = driver.panel.measures.report
    monkeypatch.setattr(widget_stubs.FileDialog, "path", str(tmp_path / "heart.dcm"))
    report.ui.saveReportButton.click()
    if known_by:
        driver.wait(lambda: "Saved to" in report.ui.reportLine.text, 30)
        content = highdicom.sr.srread(tmp_path / "heart.dcm").content
        uid = highdicom.seg.segread(tmp_path / "heart-seg.dcm").SOPInstanceUID
        groups = content.get_volumetric_roi_measurement_groups()
        assert {one.referenced_segment[0].referenced_sop_instance_uid for one in groups} == {uid}
    else:
        assert "cannot hold a report" in report.ui.reportLine.text
    report.dialog.close()


def text_of(report):
    return report.ui.reportText.wrapped.toPlainText()
