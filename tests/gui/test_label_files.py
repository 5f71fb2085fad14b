"""Label files open in the colours of our results, with names where they are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari.layers import Labels

from napari_flomo import DEFAULT_MODEL
from napari_flomo.volumes import Volume, write
from napari_flomo.widgets.label_files import COHORT
from napari_flomo.widgets.reader import read_layers

BLUE, VERMILION = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def opened(path: Path) -> Any:
    """Return the layer that napari adds for a label file."""
    ((data, arguments, kind),) = read_layers(path)
    assert kind == "labels"
    return Labels(data, **arguments)


def colour(layer: Any, code: int) -> tuple[int, ...]:
    return tuple(np.round(np.asarray(layer.get_color(code)[:3]) * 255).astype(int).tolist())


@pytest.fixture
def codes(make_volume: Callable[..., Volume]) -> Volume:
    """Labels with all codes of the default model."""
    volume = make_volume()
    data = np.zeros(volume.data.shape, np.uint8)
    data[0, :4] = np.arange(4)[:, None]
    return volume.with_data(data)


def test_codes_of_the_default_model(codes: Volume, tmp_path: Path) -> None:
    write(codes, tmp_path / "heart_labels.nii.gz")
    layer = opened(tmp_path / "heart_labels.nii.gz")
    assert (colour(layer, 1), colour(layer, 3)) == (BLUE, VERMILION)
    assert layer.features.empty, "the names of another program's codes are not known"
    write(codes.with_data(codes.data * 7), tmp_path / "other_labels.nii.gz")
    assert colour(opened(tmp_path / "other_labels.nii.gz"), 7) not in (BLUE, VERMILION)


def test_results_of_a_cohort(codes: Volume, tmp_path: Path) -> None:
    (tmp_path / COHORT).write_text(json.dumps({"model": {"name": DEFAULT_MODEL}}))
    folder = tmp_path / "studies" / "one"
    folder.mkdir(parents=True)
    write(codes, folder / "labels.nii.gz")
    layer = opened(folder / "labels.nii.gz")
    assert colour(layer, 1) == BLUE
    assert "right ventricle" in layer.features["structure"].tolist()
    (tmp_path / COHORT).write_text("{")
    assert opened(folder / "labels.nii.gz").features.empty


def test_names_of_a_segmentation(codes: Volume, tmp_path: Path) -> None:
    """As Slicer writes it; the names decide, not the codes."""
    path = tmp_path / "heart.seg.nrrd"
    write(codes.with_data((codes.data == 1).astype(np.uint8) * 5), tmp_path / "plain.nrrd")
    data, header = nrrd.read(str(tmp_path / "plain.nrrd"))
    header |= {"Segment0_Name": "Left ventricle", "Segment0_LabelValue": "5"}
    nrrd.write(str(path), data, header)
    layer = opened(path)
    assert colour(layer, 5) == VERMILION
    assert layer.features["structure"].tolist() == ["Left ventricle"]
