"""The bundled model on a real heart: by command, by napari's session and by clicks in Slicer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shim
import slicer
import vtk

from napari_flomo import DEFAULT_MODEL, cli
from napari_flomo.session import Session, SliceIndex
from napari_flomo.volumes import read

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

from driver import ModuleDriver

SAMPLE = Path(__file__).resolve().parents[2] / "napari_flomo" / "samples" / "sunnybrook_ed.nii.gz"


@pytest.fixture(scope="module")
def heart(real_worker, tmp_path_factory):
    """The sample, segmented by clicks: the panel and the node."""
    program = shim.program()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOMO_HOME", str(tmp_path_factory.mktemp("home")))
        program.close_scene()
        program.slice_view("Red")
        driver = ModuleDriver(real_worker, patch)
        node = program.load_volume(SAMPLE)
        driver.panel.segment.ui.deviceBox.setCurrentIndex(1)
        assert driver.panel.segment.model == DEFAULT_MODEL
        driver.run(node)
        yield driver, node
        driver.close()
        program.close_scene()


@pytest.mark.slow
def test_command_line_napari_and_slicer_agree(heart, real_worker, tmp_path):
    driver, node = heart
    scene_image = driver.panel.current
    in_slicer = slicer.util.arrayFromVolume(scene_image.results.proposed)
    card = driver.panel.logic.session.image(scene_image.key).segmentation.card
    from FLoMoSegmentationLib.segment_nodes import read_segments

    assert np.array_equal(read_segments(scene_image.results.segmentation, card, node), in_slicer)

    by_command, uncertainty = tmp_path / "labels.nii.gz", tmp_path / "uncertainty.nii.gz"
    options = ["--device", "cpu", "--quiet", "--uncertainty", str(uncertainty)]
    assert cli.main(["segment", str(SAMPLE), "-o", str(by_command), *options]) == 0

    session = Session(real_worker)  # what napari's panels stand on
    key = session.add(read(SAMPLE), "heart")
    session.segment(key, DEFAULT_MODEL, "cpu").result(timeout=120)
    in_napari = session.image(key).labels.data

    assert set(np.unique(in_slicer)) == {0, 1, 2, 3}
    assert np.array_equal(in_slicer, read(by_command).data)
    assert np.array_equal(in_slicer, in_napari)
    shown = slicer.util.arrayFromVolume(scene_image.results.uncertainty)
    assert np.allclose(shown, read(uncertainty).data, atol=1e-6)


@pytest.mark.slow
def test_slice_view_shows_labels_and_uncertainty(heart, tmp_path, monkeypatch):
    """The picture is drawn by Slicer's own slice logic and segmentation display."""
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    from rendering import SliceView

    driver, node = heart
    view = SliceView(shim.program(), size=(400, 400))
    scene_image = driver.panel.current
    found = slicer.util.arrayFromVolume(scene_image.results.proposed)
    place = SliceIndex(0, int((found > 0).sum((1, 2)).argmax()))
    driver.panel.logic.presenter.go_to(scene_image.key, place)
    view.zoom(200)
    pixels = view.save(tmp_path / "view.png").astype(int)
    labels = slicer.util.arrayFromVolume(scene_image.results.proposed)[place.slice]
    inside = 0
    for row, column, code in interior(labels):
        y, x = on_screen(view, node, (column, row, place.slice))
        if not (0 <= x < 400 and 0 <= y < 400):
            continue
        red, green, blue = pixels[y, x]
        shown = {1: blue > green > red, 2: min(red, green) > 2 * blue, 3: red > green > blue}
        assert shown[code], (row, column, code, pixels[y, x])  # blue, yellow, vermilion
        inside += 1
    assert inside > 300, f"the heart is not in the view of slice {place}: {view.state()}"
    scene_image.results.segmentation.GetDisplayNode().SetVisibility(False)  # its lines lie on top
    pixels = view.draw().astype(int)
    driver.panel.review.ui.showUncertainty.setChecked(True)
    with_uncertainty = view.draw().astype(int)
    uncertainty = slicer.util.arrayFromVolume(scene_image.results.uncertainty)[place.slice]
    changed = np.abs(with_uncertainty - pixels).sum(2)

    def covered(where: np.ndarray) -> np.ndarray:
        places = [on_screen(view, node, (x, y, place.slice)) for y, x in np.argwhere(where)]
        return np.array([changed[y, x] > 0 for y, x in places if 0 <= y < 400 and 0 <= x < 400])

    threshold = driver.panel.review.ui.threshold.value
    above, below = covered(uncertainty > threshold + 0.05), covered(uncertainty < threshold - 0.05)
    assert above.size > 20
    assert above.mean() > 0.95
    assert below.size > 1000
    assert not below.any(), "where the network is certain nothing covers the image"
    view.close()


def interior(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Return pixels all of whose neighbours have the same label: row, column, code."""
    found = []
    for row, column in np.argwhere(labels):
        around = labels[row - 2 : row + 3, column - 2 : column + 3]
        if (around == labels[row, column]).all():
            found.append((int(row), int(column), int(labels[row, column])))
    return found


def on_screen(view, node, index: tuple[int, int, int]) -> tuple[int, int]:
    """Return row and column of the picture where a voxel is drawn."""
    from FLoMoSegmentationLib.images import array_of, ijk_to_world

    world = ijk_to_world(node) @ np.array([*index, 1.0])
    to_ras = vtk.vtkMatrix4x4()
    to_ras.DeepCopy(view.node.GetXYToRAS())
    x, y = (np.linalg.inv(array_of(to_ras)) @ world)[:2]
    height = view.size[1]
    return height - 1 - round(float(y)), round(float(x))
