"""All measures of phantoms whose volumes, wall and mass are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.measures import HeartPhases, body_surface_m2, measure_study
from napari_flomo.models import Label
from napari_flomo.volumes import Geometry, Volume

NAMES = [
    Label(0, "background", "#000000"),
    Label(1, "right ventricle", "#0000ff"),
    Label(2, "myocardium", "#00ff00"),
    Label(3, "left ventricle", "#ff0000"),
]
OBLIQUE = (0.6, 0.0, 0.8, 0.0, 1.0, 0.0, -0.8, 0.0, 0.6)


def cylinder(radius: float, wall: float, step=(1.2, 1.5), height=8.0, slices=10):
    """Slices of a left ventricle whose radius and wall are in mm."""
    row, column = np.indices((96, 96)).astype(float)
    distance = np.hypot((row - 47.3) * step[0], (column - 48.1) * step[1])
    pixels = np.where(distance <= radius, 3, np.where(distance <= radius + wall, 2, 0))
    return np.repeat(pixels[None].astype(np.uint8), slices, axis=0)


def volume(data, step=(1.2, 1.5), height=8.0):
    geometry = Geometry((step[1], step[0], height), direction=OBLIQUE)
    axes = ("frames", "slices", "rows", "columns")[-data.ndim :]
    return Volume.from_array(data, axes=axes, geometry=geometry)


DIASTOLE, SYSTOLE = cylinder(25, 8), cylinder(17, 12)
EDV, ESV = (np.pi * radius**2 * 80 / 1000 for radius in (25, 17))
MASS = np.pi * (33**2 - 25**2) * 80 / 1000 * 1.05


@pytest.mark.parametrize("cine", [True, False])
def test_known_volumes_function_mass_and_wall(cine):
    if cine:
        labels = volume(np.stack([SYSTOLE, DIASTOLE, cylinder(20, 10)]))
        measured = measure_study(labels, NAMES, height_cm=180, weight_kg=80)
    else:
        measured = measure_study(
            volume(DIASTOLE), NAMES, systole=volume(SYSTOLE), height_cm=180, weight_kg=80
        )
    left = measured.heart.left
    assert left.edv_ml == pytest.approx(EDV, rel=0.01)
    assert left.esv_ml == pytest.approx(ESV, rel=0.01)
    assert left.ef_percent == pytest.approx(100 * (EDV - ESV) / EDV, rel=0.01)
    assert measured.heart.mass_g == pytest.approx(MASS, rel=0.01)
    assert measured.wall["ED"].mean_mm == pytest.approx(8, rel=0.01)
    assert measured.wall["ES"].mean_mm == pytest.approx(12, rel=0.01)
    assert measured.body_surface_m2 == pytest.approx(2.0)
    assert measured.indexed["left_edv_ml_per_m2"] == pytest.approx(left.edv_ml / 2)
    assert measured.indexed["mass_g_per_m2"] == pytest.approx(measured.heart.mass_g / 2)
    assert measured.flags == ()


def test_volumes_agree_with_another_library():
    import SimpleITK

    image = SimpleITK.GetImageFromArray(DIASTOLE)
    image.SetSpacing((1.5, 1.2, 8.0))
    statistics = SimpleITK.LabelShapeStatisticsImageFilter()
    statistics.Execute(image)
    ours = {one.code: one.ml for one in measure_study(volume(DIASTOLE), NAMES).structures}
    assert ours[3] == pytest.approx(statistics.GetPhysicalSize(3) / 1000)
    assert ours[2] == pytest.approx(statistics.GetPhysicalSize(2) / 1000)


def test_pinned_phases_are_measured():
    labels = volume(np.stack([SYSTOLE, DIASTOLE, cylinder(20, 10)]))
    phases = HeartPhases().pin("ED", 1).pin("ES", 2)
    measured = measure_study(labels, NAMES, phases=phases)
    assert measured.heart.left.esv_ml == pytest.approx(np.pi * 20**2 * 0.08, rel=0.01)
    assert measured.to_dict()["thickening_percent"] is not None


def test_one_segmented_frame_of_a_cine_is_measured_and_shown():
    empty = np.zeros_like(DIASTOLE)
    island = DIASTOLE.copy()
    island[4, :6, :6] = 3
    measured = measure_study(volume(np.stack([empty, empty, island])), NAMES, frames=[2])
    assert measured.frames == {"only": (0, 2)}
    assert measured.wall["only"].mean_mm == pytest.approx(8, rel=0.01)
    assert [(flag.rule, flag.frame, flag.slice) for flag in measured.flags] == [("pieces", 2, 4)]


def test_a_cine_is_checked_at_both_phases_only():
    island = cylinder(20, 10)
    island[4, :6, :6] = 3
    measured = measure_study(volume(np.stack([DIASTOLE, island, SYSTOLE])), NAMES)
    assert (measured.frames, measured.flags) == ({"ED": (0, 0), "ES": (0, 2)}, ())
    phases = HeartPhases().pin("ED", 0).pin("ES", 1)
    flags = measure_study(volume(np.stack([DIASTOLE, island])), NAMES, phases=phases).flags
    pieces = next(flag for flag in flags if flag.rule == "pieces")
    text = "Slice 5, frame 2: The left ventricle has several pieces."
    assert pieces.line(first=1, moving=True) == text


def test_other_structures_only_have_volumes():
    measured = measure_study(volume(DIASTOLE), [Label(3, "tumour", "#ff0000")])
    assert measured.heart is None
    assert measured.structures[0].ml == pytest.approx(EDV, rel=0.01)
    assert measured.indexed == {}


def test_two_cines_are_refused():
    cine = volume(np.stack([DIASTOLE, SYSTOLE]))
    with pytest.raises(FlomoError, match="one frame each"):
        measure_study(cine, NAMES, systole=cine)


@pytest.mark.parametrize(
    ("height", "weight", "message"),
    [(180, None, "both"), (None, 80, "both"), (1.8, 80, "height of 1.8"), (180, 80000, "weight")],
)
def test_implausible_persons_are_refused(height, weight, message):
    with pytest.raises(FlomoError, match=message):
        body_surface_m2(height, weight)
