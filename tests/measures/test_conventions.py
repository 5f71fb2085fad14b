"""Each convention against phantoms of known volume and mass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.measures import Conventions, measure_study, structure_volumes
from napari_flomo.models import Label
from napari_flomo.volumes import Geometry, Volume

NAMES = [
    Label(0, "background", "#000000"),
    Label(1, "right ventricle", "#0000ff"),
    Label(2, "myocardium", "#00ff00"),
    Label(3, "left ventricle", "#ff0000"),
]
STEP = (0.8, 1.0)  # mm per row and column
RADIUS, WALL, PAPILLARY = 25.0, 9.0, 5.0  # mm
HEIGHT, SLICES = 10.0, 10
CAVITY_ML = np.pi * RADIUS**2 * HEIGHT / 1000  # of a slice
WALL_ML = np.pi * ((RADIUS + WALL) ** 2 - RADIUS**2) * HEIGHT / 1000
MUSCLES_ML = 2 * np.pi * PAPILLARY**2 * HEIGHT / 1000
OBLIQUE = (0.6, 0.0, 0.8, 0.0, 1.0, 0.0, -0.8, 0.0, 0.6)
ROWS, COLUMNS = np.indices((128, 112)).astype(float)
Y, X = (ROWS - 63.7) * STEP[0], (COLUMNS - 55.4) * STEP[1]


def phantom(enclosed=(1.0,) * SLICES) -> tuple[Volume, Volume]:
    """A cylinder with two papillary muscles, and its image; labels have them in the cavity.

    ``enclosed`` is the fraction of the cavity of each slice that has wall around it.
    """
    distance, angle = np.hypot(Y, X), (np.arctan2(Y, X) + np.pi) / (2 * np.pi)
    stack = np.stack(
        [
            np.where(
                distance <= RADIUS,
                3,
                np.where((distance <= RADIUS + WALL) & (angle <= part), 2, 0),
            )
            for part in enclosed
        ]
    ).astype(np.uint8)
    muscles = np.minimum(np.hypot(Y - 10, X), np.hypot(Y + 10, X)) <= PAPILLARY
    grey = np.where(stack == 3, 300.0, np.where(stack == 2, 90.0, 20.0))
    grey[:, muscles] = 90.0
    grey += np.random.default_rng(0).normal(0, 20, grey.shape)
    geometry = Geometry((STEP[1], STEP[0], HEIGHT), direction=OBLIQUE)
    labels = Volume.from_array(stack, geometry=geometry, slice_thickness=8.0)
    return labels, labels.with_data(grey.astype(np.int16))


def measured(labels, image, **conventions):
    """Return EDV of two equal phases and mass, in ml and g."""
    found = measure_study(
        labels,
        NAMES,
        systole=labels,
        conventions=Conventions(**conventions),
        images=(image, image),
    )
    return found, found.heart.left.edv_ml, found.heart.mass_g


@pytest.mark.parametrize("flipped", [False, True])
def test_papillary_muscles_move_from_the_cavity_to_the_wall(flipped):
    labels, image = phantom()
    if flipped:
        labels, image = (one.with_data(one.data[::-1, ::-1]) for one in (labels, image))
    _, edv, mass = measured(labels, image)
    assert edv == pytest.approx(CAVITY_ML * SLICES, rel=0.01)
    found, edv, mass = measured(labels, image, papillary_muscles="myocardium")
    assert edv == pytest.approx((CAVITY_ML - MUSCLES_ML) * SLICES, rel=0.01)
    assert mass == pytest.approx((WALL_ML + MUSCLES_ML) * SLICES * 1.05, rel=0.01)
    assert found.wall["ED"].mean_mm == pytest.approx(WALL, rel=0.01), "the compact wall"
    assert (found.flags, found.notes) == ((), ())
    by_name = {one.name: one.ml for one in found.structures if one.frame == 0}
    assert by_name["left ventricle"] == edv


@pytest.mark.parametrize("base_first", [False, True])
def test_a_basal_slice_counts_if_wall_encloses_half(base_first):
    enclosed = [0.3, 0.45, 0.6, *[1.0] * 6, 0.4]  # the last one is the apex
    labels, image = phantom(enclosed)
    labels.data[:3][labels.data[:3] == 0] = 1  # the base is where the right ventricle is large
    if not base_first:
        labels, image = (one.with_data(one.data[::-1]) for one in (labels, image))
    _, edv, whole = measured(labels, image)
    assert edv == pytest.approx(CAVITY_ML * 10, rel=0.01)
    found, edv, mass = measured(labels, image, basal_slices="half-enclosed")
    assert edv == pytest.approx(CAVITY_ML * 8, rel=0.01)
    assert whole - mass == pytest.approx(0.75 * WALL_ML * 1.05, rel=0.01)
    numbers = "1, 2" if base_first else "9, 10"
    line = f"ED, slices {numbers}: At the base, so the left ventricle is not counted."
    assert found.notes[0].line(first=1) == line
    before = measured(labels, image)[0].heart.right
    assert found.heart.right == before, "the right ventricle has no such rule"


def test_labels_without_wall_keep_their_slices():
    labels, image = phantom((0.0,) * SLICES)
    _, edv, _ = measured(labels, image, basal_slices="half-enclosed")
    assert edv == pytest.approx(CAVITY_ML * 10, rel=0.01)


@pytest.mark.parametrize(
    ("gaps", "mm"), [("included", 100), ("interpolated", 98), ("excluded", 80)]
)
def test_gaps_between_slices(gaps, mm):
    labels, image = phantom()
    _, edv, mass = measured(labels, image, slice_gaps=gaps)
    assert edv == pytest.approx(CAVITY_ML * mm / HEIGHT, rel=0.01)
    assert mass == pytest.approx(WALL_ML * mm / HEIGHT * 1.05, rel=0.01)


def test_interpolated_gaps_of_a_cone():
    labels, _ = phantom()
    for number, pixels in enumerate(labels.data):
        pixels[...] = np.where(np.hypot(Y, X) <= 10 + 2 * number, 3, 0)
    radii = [10 + 2 * number for number in range(SLICES)]
    areas = np.pi * np.square(radii)
    known = (8 * areas.sum() + 2 * (areas[:-1] + areas[1:]).sum() / 2) / 1000
    found = measure_study(labels, NAMES, conventions=Conventions(slice_gaps="interpolated"))
    assert found.structures[-1].ml == pytest.approx(known, rel=0.01)


def test_density_and_the_choice_are_in_the_result():
    labels, image = phantom()
    found, _, mass = measured(labels, image, density_g_per_ml=1.04)
    assert mass == pytest.approx(WALL_ML * SLICES * 1.04, rel=0.01)
    assert found.to_dict()["heart"]["conventions"] == {
        "papillary_muscles": "as-labelled",
        "basal_slices": "all",
        "slice_gaps": "included",
        "density_g_per_ml": 1.04,
    }
    assert Conventions(density_g_per_ml=1.04).differences() == (
        "Mass: myocardium at end diastole, 1.04 g/ml.",
    )


def test_the_defaults_are_sums_of_voxels():
    labels, image = phantom()
    found, edv, mass = measured(labels, image)
    counted = {one.name: one.ml for one in structure_volumes(labels, {3: "cavity", 2: "wall"})}
    assert (edv, mass) == (counted["cavity"], counted["wall"] * 1.05)
    assert counted["cavity"] == (labels.data == 3).sum() * (0.8 * 1.0 * 10.0 / 1000)
    assert found.heart.conventions == Conventions()


def test_an_image_without_dark_wall_is_counted_as_labelled():
    labels, image = phantom()
    inverted = image.with_data(400 - image.data)
    found, edv, _ = measured(labels, inverted, papillary_muscles="myocardium")
    assert edv == pytest.approx(CAVITY_ML * SLICES, rel=0.01)
    assert [(note.phase, note.slices) for note in found.notes] == [
        ("ED", tuple(range(SLICES))),
        ("ES", tuple(range(SLICES))),
    ]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [({"papillary_muscles": "myocardium"}, "image"), ({"slice_gaps": "excluded"}, "thickness")],
)
def test_what_is_not_known_is_not_guessed(chosen, message):
    labels = replace(phantom()[0], slice_thickness=None)
    with pytest.raises(FlomoError, match=message):
        measure_study(labels, NAMES, conventions=Conventions(**chosen))


def test_an_implausible_density():
    with pytest.raises(FlomoError, match="105 g/ml is not that of myocardium"):
        Conventions(density_g_per_ml=105)
