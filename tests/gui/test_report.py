"""The report of the current image: shown, saved and copied."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from qtpy.QtWidgets import QApplication, QFileDialog

from napari_flomo.measures import Conventions
from napari_flomo.session import Preferences
from napari_flomo.volumes import write
from napari_flomo.widgets.report_dialog import ReportDialog


@pytest.fixture
def dialog(bench, make_volume, qtbot):
    """The dialog of a segmented stack, opened by a click on its button."""
    volume = make_volume(slices=4)
    data = np.zeros(volume.data.shape, np.int16)
    data[:, 6:16, 6:16] = 200
    bench.add(volume.with_data(data))
    bench.run()
    bench.click(bench.review.next_button)
    bench.click(bench.review.accept_button)
    bench.click(bench.review.report_button)
    dialog = bench.review.findChild(ReportDialog)
    qtbot.waitExposed(dialog)
    yield dialog
    dialog.close()


def test_the_report_follows_what_is_typed(dialog):
    assert "A person accepted 1 of 4 slices." in dialog.text.toPlainText()
    dialog.form.height_cm.value, dialog.form.weight_kg.value = 180, 80
    dialog.form.patient.value = "Study 7"
    text = dialog.text.toPlainText()
    assert "Body surface: 2.00 m2" in text
    assert "Study 7" in text
    dialog.form.weight_kg.value = 0
    assert "give both" in dialog.problem.text()
    assert not dialog.save_button.isEnabled()


def test_conventions_are_used_and_remembered(dialog, bench):
    bench.click(dialog.conventions.density_g_per_ml.native)
    dialog.conventions.density_g_per_ml.value = 1.1
    assert "1.1 g/ml" in dialog.text.toPlainText()
    chosen = Conventions(density_g_per_ml=1.1)
    assert bench.viewer_state.preferences.conventions == chosen
    assert Preferences(bench.viewer_state.preferences._path).conventions == chosen
    assert "1.1 g/ml" in bench.review.structures.heart.text()


def test_a_convention_that_cannot_be_measured_is_not_remembered(dialog, bench):
    before = bench.viewer_state.preferences.conventions
    dialog.conventions.slice_gaps.value = "excluded"
    assert "slice thickness of this image is not known" in dialog.problem.text()
    assert not dialog.save_button.isEnabled()
    assert bench.viewer_state.preferences.conventions == before == Conventions()
    dialog.conventions.slice_gaps.value = "included"
    assert dialog.save_button.isEnabled()


def test_saved_and_copied(dialog, bench, tmp_path):
    dialog.save(str(tmp_path / "heart"))
    assert (tmp_path / "heart.pdf").read_bytes().startswith(b"%PDF")
    assert str(tmp_path / "heart.pdf") in dialog.problem.text()
    bench.click(dialog.copy_button)
    assert QApplication.clipboard().text() == dialog.text.toPlainText()
    bench.click(dialog.table_button)
    assert QApplication.clipboard().text().startswith("measure\tvalue\tunit")


@pytest.fixture
def write_heart(write_series, make_heart, tmp_path):
    """Write a stack as DICOM or NIfTI."""

    def make(dicom):
        volume = make_heart()
        if dicom:
            write_series(tmp_path / "series", volume.data[np.newaxis].astype(np.int16))
            return tmp_path / "series"
        write(volume, tmp_path / "stack.nii.gz")
        return tmp_path / "stack.nii.gz"

    return make


@pytest.fixture
def formats(tmp_path, monkeypatch):
    """The formats that the file dialog offers, of which the last is chosen, for ``heart``."""
    offered = []

    def choose(_parent, _title, _name, filters):
        offered.extend(filters.split(";;"))
        return str(tmp_path / "heart"), offered[-1]

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    return offered


@pytest.mark.parametrize("dicom", [True, False])
def test_a_structured_report_of_a_dicom_series(dicom, bench, write_heart, formats, tmp_path):
    """It is offered for DICOM alone, and written with segmentations that it refers to."""
    highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed")
    bench.viewer.open(str(write_heart(dicom)), plugin="napari-flomo")
    bench.run()
    bench.click(bench.review.report_button)
    dialog = bench.review.findChild(ReportDialog)
    bench.qtbot.waitExposed(dialog)
    bench.click(dialog.save_button)
    assert ("DICOM structured report (*.dcm)" in formats) == dicom
    bench.qtbot.waitUntil(lambda: "Saved to" in dialog.problem.text(), timeout=20_000)
    assert dialog.save_button.isEnabled()
    if dicom:
        content = highdicom.sr.srread(tmp_path / "heart.dcm").content
        uid = highdicom.seg.segread(tmp_path / "heart-seg.dcm").SOPInstanceUID
        groups = content.get_volumetric_roi_measurement_groups()
        assert {one.referenced_segment[0].referenced_sop_instance_uid for one in groups} == {uid}
    dialog.close()
