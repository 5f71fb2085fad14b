"""The report of the chosen image: shown, saved and copied."""

from __future__ import annotations

import pytest
from helpers import add_volume

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

import widget_stubs
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication


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


def text_of(report):
    return report.ui.reportText.wrapped.toPlainText()
