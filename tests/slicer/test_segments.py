"""Labels as segments: codes, colours, terms, and files for other programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import compat, segment_nodes, uncertainty
from FLoMoSegmentationLib.segment_nodes import terminology_entry
from helpers import add_volume, paint

from napari_flomo.models import Label, info
from napari_flomo.session import structure_colours


@pytest.fixture(scope="module")
def card():
    """The card of the bundled model, with codes out of order."""
    found = info("flomo-b0-acdc")[1]
    codes = (0, 7, 2, 200)
    labels = tuple(
        replace(label, code=code) for label, code in zip(found.labels, codes, strict=True)
    )
    return replace(found, labels=labels)


@pytest.fixture
def labels(oblique):
    result = np.zeros(oblique.data.shape, np.uint8)
    result[1, 4:20, 6:15] = 7
    result[1:3, 10:30, 15:25] = 2
    result[2, 0, 0] = 200
    result[3, -1, -1] = 200
    return result


@pytest.fixture
def scene_with(program, oblique, labels, card):
    image = add_volume(oblique)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "labels")
    node.CreateDefaultDisplayNodes()
    segment_nodes.write_segments(node, labels, card, image)
    return image, node


def test_read_returns_the_written_labels(scene_with, labels, card):
    image, node = scene_with
    back = segment_nodes.read_segments(node, card, image)
    assert back.dtype == np.uint8
    assert np.array_equal(back, labels)
    assert node.GetSegmentation().GetNumberOfLayers() == 1, "one label map, not one per structure"


def test_names_colours_and_terms(scene_with, card):
    _, node = scene_with
    segmentation = node.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == ["flomo_7", "flomo_2", "flomo_200"]
    for label in card.labels[1:]:
        segment = segmentation.GetSegment(segment_nodes.segment_id(label.code))
        assert segment.GetName() == label.name
        assert segment.GetLabelValue() == label.code
        red, green, blue = (round(255 * share) for share in segment.GetColor())
        assert f"#{red:02x}{green:02x}{blue:02x}" == structure_colours(card.labels)[label.code]
        term = slicer.vtkSlicerTerminologyEntry()
        text = compat.terminology(segment)
        logic = slicer.vtkSlicerTerminologiesModuleLogic
        assert logic.DeserializeTerminologyEntry(text, term)
        kind = term.GetTypeObject()
        assert (kind.GetCodingSchemeDesignator(), kind.GetCodeValue(), kind.GetCodeMeaning()) == (
            "SCT",
            label.snomed.code,
            label.snomed.meaning,
        )
        assert term.GetCategoryObject().GetCodeMeaning() == "Anatomical Structure"


def test_label_without_a_concept_is_tissue():
    assert "85756007^Tissue" in terminology_entry(Label(1, "something", "#ffffff"))


def test_other_libraries_read_seg_nrrd(program, scene_with, oblique, labels, card, tmp_path):
    import SimpleITK as sitk
    import slicerio

    _, node = scene_with
    path = tmp_path / "labels.seg.nrrd"
    program.save(node, path)
    image = sitk.ReadImage(str(path))
    grid = oblique.geometry
    assert np.array_equal(sitk.GetArrayFromImage(image), labels)
    assert np.allclose(image.GetSpacing(), grid.spacing)
    assert np.allclose(image.GetOrigin(), grid.origin)
    assert np.allclose(image.GetDirection(), grid.direction)
    found = slicerio.read_segmentation(str(path))
    by_value = {one["labelValue"]: one for one in found["segments"]}
    assert set(by_value) == {7, 2, 200}
    for label in card.labels[1:]:
        one = by_value[label.code]
        assert one["name"] == label.name
        assert one["terminology"]["type"] == ["SCT", label.snomed.code, label.snomed.meaning]
        colour = structure_colours(card.labels)[label.code]
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert np.allclose(one["color"], rgb, atol=1e-3)
    lps = np.diag([-1.0, -1, 1, 1]) @ grid.affine_ras()
    assert np.allclose(found["ijkToLPS"], lps)


def test_read_painted_labels(scene_with, labels, card):
    image, node = scene_with
    where = np.zeros(labels.shape, bool)
    where[1, 12:16, 10:20] = True
    paint(node, 7, where, image)
    wanted = labels.copy()
    wanted[where] = 7
    assert np.array_equal(segment_nodes.read_segments(node, card, image), wanted)


def test_write_keeps_changes_of_the_user(scene_with, labels, card):
    image, node = scene_with
    segmentation = node.GetSegmentation()
    segmentation.GetSegment("flomo_7").SetName("my ventricle")
    segmentation.GetSegment("flomo_7").SetColor(0, 0, 0)
    segmentation.AddEmptySegment("mine", "scar")
    other = np.roll(labels, 3, axis=2)
    segment_nodes.write_segments(node, other, card, image)
    assert np.array_equal(segment_nodes.read_segments(node, card, image), other)
    assert segmentation.GetSegment("flomo_7").GetName() == "my ventricle"
    assert segmentation.GetSegment("flomo_7").GetColor() == (0, 0, 0)
    assert segment_nodes.unknown_segments(node, card) == ["scar"]


def test_deleted_segment_is_background(scene_with, labels, card):
    image, node = scene_with
    node.GetSegmentation().RemoveSegment("flomo_2")
    left = segment_nodes.read_segments(node, card, image)
    assert np.array_equal(left, np.where(labels == 2, 0, labels))
    segment_nodes.write_segments(node, labels, card, image)
    assert np.array_equal(segment_nodes.read_segments(node, card, image), labels)


def test_empty_labels(program, oblique, card):
    image = add_volume(oblique)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "labels")
    empty = np.zeros(oblique.data.shape, np.uint8)
    assert np.array_equal(segment_nodes.read_segments(node, card, image), empty)
    segment_nodes.write_segments(node, empty, card, image)
    assert np.array_equal(segment_nodes.read_segments(node, card, image), empty)


def test_completed_segments(scene_with, card):
    _, node = scene_with
    assert segment_nodes.completed(node, card) == frozenset()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(node.GetSegmentation().GetSegment("flomo_2"), logic.Completed)
    assert segment_nodes.completed(node, card) == {2}


def test_colour_table_matches_napari(program):
    from napari_flomo.session.uncertainty_maps import colours

    table = uncertainty.colour_table()
    assert uncertainty.colour_table() is table, "one table for a scene"
    found = [0.0] * 4
    table.GetColor(255, found)
    assert np.allclose(found[:3], colours()[255], atol=1 / 255)
