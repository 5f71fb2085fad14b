"""Ejection fraction and mass against calculated and published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.measures import HeartCodes, VoxelCounts, heart_of_cine, heart_of_phases
from napari_flomo.models import Concept, Label, load_card
from napari_flomo.volumes import Geometry, Volume, read

CODES = HeartCodes(left_ventricle=3, right_ventricle=1, myocardium=2)
CM3 = Geometry((10.0, 10.0, 10.0))  # a voxel is a millilitre


def cine(*frames: Sequence[int], geometry: Geometry = CM3) -> VoxelCounts:
    """Frames of one slice, with these voxels of left and right ventricle and wall."""
    data = np.zeros((len(frames), 1, 20, 20), np.uint8)
    for image, sizes in zip(data.reshape(len(frames), -1), frames, strict=True):
        image[: sum(sizes)] = np.repeat((3, 1, 2), sizes)
    labels = Volume(data, geometry, ("frames", "slices", "rows", "columns"))
    return VoxelCounts.of(labels, (1, 2, 3))


def test_a_cine() -> None:
    heart = heart_of_cine(cine((100, 90, 60), (120, 110, 50), (48, 55, 70)), CODES)
    assert heart.phases.frames == (1, 2)
    assert (heart.left.edv_ml, heart.left.esv_ml, heart.left.sv_ml) == (120, 48, 72)
    assert heart.left.ef_percent == pytest.approx(60)
    assert (heart.right.edv_ml, heart.right.esv_ml) == (110, 55)
    assert heart.right.ef_percent == pytest.approx(50)
    assert heart.mass_g == pytest.approx(50 * 1.05)


def test_frames_that_were_not_segmented() -> None:
    counts = cine((100, 90, 60), (0, 0, 0), (80, 70, 60))
    heart = heart_of_cine(counts, CODES, frames=[0, 2], whole=[])
    assert (heart.phases.left.ed, heart.phases.left.es, heart.complete) == (0, 2, False)
    assert heart.left.ef_percent == pytest.approx(20)


def test_one_frame_has_no_phase() -> None:
    heart = heart_of_cine(cine((100, 90, 60)), CODES)
    assert heart.phases.frames == ()
    assert (heart.left.edv_ml, heart.left.ef_percent) == (None, None)
    assert heart.mass_g == pytest.approx(63)


def test_two_phases() -> None:
    heart = heart_of_phases(cine((100, 90, 60)), cine((40, 45, 60)), CODES)
    assert heart.left.ef_percent == pytest.approx(60)
    assert heart.right.sv_ml == 45


def test_unknown_measures() -> None:
    empty = heart_of_cine(cine((0, 0, 0), (0, 0, 0)), CODES)
    assert empty.left.ef_percent is None
    unknown = heart_of_cine(cine((9, 9, 9), (4, 4, 4), geometry=Geometry.unknown()), CODES)
    assert (unknown.left, unknown.mass_g) == (None, None)
    right_only = heart_of_cine(cine((9, 80, 9), (9, 40, 9)), HeartCodes(right_ventricle=1))
    assert (right_only.left, right_only.mass_g) == (None, None)
    assert right_only.right.ef_percent == pytest.approx(50)
    assert heart_of_cine(cine((1, 1, 1)), CODES, frames=[]).left is None


def test_codes_of_the_bundled_model() -> None:
    assert HeartCodes.of(load_card("flomo-b0-acdc").labels) == CODES


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (("background", "RV", "MYO", "LV"), CODES),
        (("bg", "right ventricle", "myocardium", "left ventricular cavity"), CODES),
        (("bg", "RV cavity", "LV myocardium", "LV blood pool"), CODES),
        (("bg", "LV", "myo", "RV"), HeartCodes(1, 3, 2)),
        (("bg", "left ventricle"), HeartCodes(1)),
        (("bg", "polyp", "left kidney", "revolver"), None),
        (("bg", "RV wall", "left atrium", "myocardium"), None),
    ],
)
def test_codes_by_name(names: tuple[str, ...], codes: HeartCodes | None) -> None:
    labels = [Label(code, name, "#000000") for code, name in enumerate(names)]
    assert HeartCodes.of(labels) == codes


def test_concept_overrides_name() -> None:
    labels = [Label(7, "RV", "#000000", Concept("87878005", "Left ventricle"))]
    assert HeartCodes.of(labels) == HeartCodes(left_ventricle=7)


def test_reference_labels(shared: Path) -> None:
    folder = shared / "data" / "sunnybrook" / "labels"
    labels = [read(folder / f"SC-HF-I-1_{phase}_gt.nii.gz") for phase in ("ED", "ES")]
    diastole, systole = (VoxelCounts.of(image, (1, 2, 3)) for image in labels)
    heart = heart_of_phases(diastole, systole, CODES)
    assert heart.left.edv_ml == pytest.approx(195.8, abs=0.05)
    assert 0 < heart.left.ef_percent < 70
    assert heart.mass_g == pytest.approx(112.5 * 1.05, abs=0.06)
