"""Training and inference preprocess an image in the same way in any array layout."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch

from flomo_training.cases import list_cases, prepare_case, read_case
from flomo_training.finetuning.dataset import corrected_frame
from flomo_training.uncertainty.calibration import collect_pixels
from napari_flomo.segmentation import Segmenter

STORED = [[[0, -1], [2, 1], [1, 1]], [[1, 1], [0, 1], [2, -1]], [[2, 1], [1, -1], [0, -1]]]
"""Orientations of nibabel: for each axis, where it goes and whether it is reversed."""


@pytest.fixture(params=STORED)
def pair(request, dataset, tmp_path):
    """A case, and the same case with another array layout."""
    case = list_cases(dataset, 0, "training")[0]
    for path in (case.image, case.labels):
        nibabel.save(nibabel.load(path).as_reoriented(request.param), tmp_path / path.name)
    stored = replace(case, image=tmp_path / case.image.name, labels=tmp_path / case.labels.name)
    return case, stored


def test_prepared_case(pair, recipe):
    first, second = (prepare_case(case, recipe.model) for case in pair)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.classes, second.classes)
    assert first.centre == second.centre


@pytest.mark.parametrize("neighbours", [0, 1])
def test_corrected_slices(pair, recipe, neighbours):
    rule = replace(recipe.model.preprocessing, neighbours=neighbours)
    card = replace(recipe.model, preprocessing=rule, in_channels=2 * neighbours + 1)
    (image, labels), (other, of_other) = map(read_case, pair)
    first = corrected_frame(image, labels, [0, 1], card)
    backwards = not np.array_equal(image.data.max((1, 2)), other.data.max((1, 2)))
    seen = [2, 1] if backwards else [0, 1]
    second = corrected_frame(other, of_other, seen, card, proposed=of_other)
    assert second.slices == tuple(seen)
    np.testing.assert_array_equal(first.volume.images, second.volume.images)
    np.testing.assert_array_equal(first.volume.classes, second.volume.classes)
    np.testing.assert_array_equal(first.unseen, second.unseen)


class Edges(torch.nn.Module):
    """A network whose output depends on the orientation of the image."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor([0.2, 0.5, 1.0]))

    def forward(self, images):
        slope = images.diff(dim=-1, prepend=images[..., :1])
        return SimpleNamespace(logits=3 * slope - (images - self.level[:, None, None]) ** 2)


def test_pixels_for_calibration(pair, recipe):
    segmenter = Segmenter(Edges(), recipe.model, "cpu")
    found = []
    for case in pair:
        image, labels = read_case(case)
        pixels = collect_pixels(segmenter, image, labels.data)
        both = np.column_stack([pixels.classes, pixels.logits])
        found.append(both[np.lexsort(both.T)])
    np.testing.assert_array_equal(*found)
