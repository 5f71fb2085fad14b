"""Convert MRML nodes to volumes on the same grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shim
import slicer
import vtk
from FLoMoSegmentationLib import images, slice_axis
from helpers import add_cine, add_volume, cine_of, oblique_heart, right_handed, rotation

from napari_flomo.corrections import identity
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import read, write

DATA = Path(__file__).resolve().parents[2] / "napari_flomo" / "samples"


def transform(matrix: np.ndarray, name: str = "moved") -> object:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(shim.matrix(matrix))
    return node


def test_oblique_volume_keeps_its_grid(program, oblique, tmp_path):
    volume = images.volume_of(images.image_nodes(add_volume(oblique)))
    assert np.array_equal(volume.data, oblique.data)
    assert volume.data.dtype == oblique.data.dtype
    assert volume.geometry.same_space(oblique.geometry, 1e-6)
    assert np.linalg.det(volume.geometry.direction_matrix) < 0
    corner = [(3, 5, 2)]
    assert np.allclose(volume.geometry.positions(corner), oblique.geometry.positions(corner))


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_slicer_and_our_reader_agree(program, oblique, tmp_path, suffix):
    path = tmp_path / f"heart.{suffix}"
    write(right_handed(oblique), path)
    ours, theirs = read(path), images.volume_of(images.image_nodes(program.load_volume(path)))
    assert np.array_equal(ours.data, theirs.data)
    assert theirs.geometry.same_space(ours.geometry, 1e-5)


def test_slicer_reverses_the_slices_of_a_left_handed_file(program, oblique, tmp_path):
    """The image in space is the same, but not its array or identity."""
    path = tmp_path / "heart.nrrd"
    write(oblique, path)
    ours, theirs = read(path), images.volume_of(images.image_nodes(program.load_volume(path)))
    assert np.array_equal(ours.data, theirs.data[::-1])
    last = oblique.n_slices - 1
    here, there = [(3, 5, 0)], [(3, 5, last)]
    assert np.allclose(ours.geometry.positions(here), theirs.geometry.positions(there), atol=1e-3)


def test_sample_has_the_identity_of_its_file(program):
    path = DATA / "sunnybrook_ed.nii.gz"
    volume = images.volume_of(images.image_nodes(program.load_volume(path)))
    assert identity(volume) == identity(read(path))
    assert volume.source == "", "names of nodes are often those of patients"


def test_frames_of_a_cine_are_in_order(program):
    cine = cine_of(oblique_heart())
    node, sequence, browser = add_cine(cine)
    for chosen in (node, sequence):
        nodes = images.image_nodes(chosen)
        assert (nodes.volume, nodes.sequence, nodes.browser) == (node, sequence, browser)
    volume = images.volume_of(nodes)
    assert volume.axes == cine.axes
    assert np.array_equal(volume.data, cine.data)
    browser.SetSelectedItemNumber(2)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    assert nodes.frame == 2
    assert np.array_equal(images.volume_of(nodes).data, cine.data), "whatever is on the screen"
    assert slice_axis.describe(nodes).startswith("3 frames, 4 slices, 36 × 44 pixels, 1.5 × 1.25")


def test_rejects_frames_on_different_grids(program):
    _, sequence, _ = add_cine(cine_of(oblique_heart()))
    sequence.GetNthDataNode(1).SetOrigin(1, 2, 3)
    with pytest.raises(FlomoError, match="different grids"):
        images.volume_of(images.image_nodes(sequence))


def test_rigid_parent_transform_changes_no_voxels(program, oblique):
    node = add_volume(oblique)
    before = images.volume_of(images.image_nodes(node))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(0.3, 0.2, -1), (5, -20, 11)
    node.SetAndObserveTransformNodeID(transform(matrix).GetID())
    after = images.volume_of(images.image_nodes(node))
    assert after.geometry == before.geometry
    assert np.array_equal(after.data, before.data)
    world = images.ijk_to_world(node)
    assert np.allclose(world, matrix @ oblique.geometry.affine_ras())


@pytest.mark.parametrize("kind", ["stretched", "bent"])
def test_rejects_a_parent_transform_that_is_not_rigid(program, oblique, kind):
    node = add_volume(oblique)
    if kind == "stretched":
        parent = transform(np.diag([1.1, 1.1, 1.1, 1.0]), "stretch")
    else:
        parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bend")
        parent.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(parent.GetID())
    with pytest.raises(FlomoError, match=r"harden it .*Data module"):
        images.volume_of(images.image_nodes(node))
    if kind == "stretched":
        node.HardenTransform()
        volume = images.volume_of(images.image_nodes(node))
        assert np.allclose(volume.geometry.spacing, np.array(oblique.geometry.spacing) * 1.1)


def test_rejects_nodes_that_are_not_images(program, oblique):
    scene = slicer.mrmlScene
    wrong = {
        "vtkMRMLModelNode": "is not an image",
        "vtkMRMLLabelMapVolumeNode": "is a label map",
        "vtkMRMLSegmentationNode": "is not an image",
        "vtkMRMLScalarVolumeNode": "has no voxels",
        "vtkMRMLSequenceNode": "is empty",
    }
    for kind, sentence in wrong.items():
        with pytest.raises(FlomoError, match=sentence):
            images.image_nodes(scene.AddNewNodeByClass(kind, "thing"))
    with pytest.raises(FlomoError, match="No image is chosen"):
        images.image_nodes(None)
    node = add_volume(oblique.with_data(np.where(oblique.data > 60, np.nan, 0.0)))
    with pytest.raises(FlomoError, match="within the image"):
        images.volume_of(images.image_nodes(node))


def test_photo_has_channels_and_no_spacing(program):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(1, 6, 5, 3)
    slicer.util.updateVolumeFromArray(node, pixels)
    volume = images.volume_of(images.image_nodes(node))
    assert volume.axes == ("slices", "rows", "columns", "channels")
    assert np.array_equal(volume.data, pixels)
    assert not volume.geometry.spacing_known
    assert volume.modality == "photo"


def test_rejects_a_sheared_grid(program, oblique):
    node = add_volume(oblique)
    sheared = oblique.geometry.affine_ras()
    sheared[:3, 0] += 0.3 * sheared[:3, 1]
    node.SetIJKToRASMatrix(shim.matrix(sheared))
    with pytest.raises(FlomoError, match="right angles"):
        images.volume_of(images.image_nodes(node))


def test_fills_nan_outside_the_field_of_view(program, oblique):
    data = oblique.data.astype(np.float32)
    data[:, :3] = np.nan
    node = add_volume(oblique.with_data(data))
    volume = images.volume_of(images.image_nodes(node))
    assert np.isfinite(volume.data).all()
    assert "without a value" in volume.notes[0]


def test_remarks_are_shown_after_the_run(driver, oblique):
    small = replace(oblique.geometry, spacing=(0.2, 0.2, 0.5))
    data = oblique.data.astype(np.float32)
    data[:, :2] = np.nan
    driver.run(add_volume(replace(oblique, data=data, geometry=small)))
    said = driver.panel.segment.ui.message.text
    assert "without a value" in said
    assert "Pixels of 0.2 x 0.2 mm" in said
    assert "less than that of a newborn" in said
