"""The report of the current image: shown, saved and copied."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from qtpy.QtWidgets import QApplication

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


def test_saved_and_copied(dialog, bench, tmp_path):
    dialog.save(str(tmp_path / "heart"))
    assert (tmp_path / "heart.pdf").read_bytes().startswith(b"%PDF")
    assert str(tmp_path / "heart.pdf") in dialog.problem.text()
    bench.click(dialog.copy_button)
    assert QApplication.clipboard().text() == dialog.text.toPlainText()
    bench.click(dialog.table_button)
    assert QApplication.clipboard().text().startswith("measure\tvalue\tunit")
