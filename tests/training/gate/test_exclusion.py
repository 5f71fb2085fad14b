"""Patients of the training data are excluded, also in cropped or converted images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flomo_training.gate.exclusion import exclude_seen
from flomo_training.gate.reference import read_reference
from flomo_training.gate.signatures import identity_signature, signatures
from flomo_training.leaks import fingerprint
from napari_flomo.volumes import Geometry, Volume

TURN = (0.8, -0.36, 0.48, 0.6, 0.48, -0.64, 0.0, 0.8, 0.6)
"""A rotation about two axes."""


def noise(seed: int, origin: tuple[float, float, float], turn: tuple[float, ...] = TURN) -> Volume:
    data = np.random.default_rng(seed).integers(0, 900, (4, 120, 130)).astype(np.int16)
    return Volume(data, Geometry((1.4, 1.4, 8.0), origin, turn), modality="MR", source="x")


def test_signatures_of_copies_and_crops():
    image = noise(1, (10.0, -20.0, 30.0))
    known = signatures(image)
    assert identity_signature(image) in known
    assert known & signatures(replace(image, data=image.data.astype(np.float32)))
    fewer = replace(image, data=image.data[2:], geometry=Geometry((1.0, 1.0, 1.0)))
    assert known & signatures(fewer), "by the pixels of its slices"
    middle = replace(image, data=image.data[:, 20:100, 25:105], geometry=Geometry((1.0, 1.0, 1.0)))
    assert known & signatures(middle), "by the middle of its slices"
    cine = Volume(
        np.stack([noise(2, (0, 0, 0)).data, image.data]),
        Geometry((1.0, 1.0, 1.0)),
        ("frames", "slices", "rows", "columns"),
    )
    assert known & signatures(cine), "by one of its frames"


def test_signatures_of_other_frames_of_the_same_planes():
    image = noise(1, (10.0, -20.0, 30.0))
    other = noise(2, (10.0, -20.0, 30.0))
    origin = other.geometry.positions((17, 5, 2))
    cut = replace(
        other,
        data=other.data[2:, 5:, 17:],
        geometry=replace(other.geometry, origin=tuple(origin.tolist())),
    )
    assert signatures(image) & signatures(cut)
    elsewhere = noise(2, (10.0, -20.0, 30.0 + 1.0))
    assert not signatures(image) & signatures(elsewhere)


@pytest.mark.parametrize(
    "turn", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)]
)
def test_axis_aligned_planes_have_no_signature(turn):
    assert not signatures(noise(1, (0, 0, 0), turn)) & signatures(noise(2, (0, 0, 0), turn))


def test_constant_slices_have_no_signature():
    grid = Geometry((1.0, 1.0, 1.0))
    one, other = (Volume(np.full((3, 70, 70), 7, np.int16), grid, source=str(n)) for n in range(2))
    other.data[2, 30:40] = 9
    assert not signatures(one) & signatures(other)


def test_patients_are_excluded_as_a_whole(reference, card):
    images = [replace(image, group="one") for image in read_reference(reference, card)[:2]]
    images += [replace(read_reference(reference, card)[2], group="two")]
    notes = []
    assert exclude_seen(images, (), (), notes.append) == images
    assert not notes
    known = fingerprint(reference / "images" / "p1_a.nii.gz")
    assert exclude_seen(images, [known], (), notes.append) == images[2:]
    assert notes == [
        "reference image 2 was used for training, so the 2 image(s) of this patient were left out."
    ]
    assert exclude_seen(images, (), images[2].signatures, notes.append) == images[:2]
    assert "reference image 3 shows a patient of the corrections" in notes[1]


def test_signatures_of_a_synthetic_volume(make_volume):
    """A grid rotated about one axis, with frames, has pixel signatures only."""
    assert len(signatures(make_volume(frames=2))) == 1 + 6
