"""Volumes as new images of the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from FLoMoSegmentationLib.images import image_nodes, volume_of
from FLoMoSegmentationLib.scene_io import add_image
from helpers import cine_of, oblique_heart

from napari_flomo.corrections import identity
from napari_flomo.volumes import Geometry, Volume


@pytest.mark.parametrize("kind", ["stack", "right-handed", "float", "cine", "photo", "signed byte"])
def test_added_image_has_the_same_voxels_and_grid(program, kind):
    heart = oblique_heart()
    volume = {
        "stack": heart,
        "right-handed": replace(heart, geometry=Geometry((1.25, 1.5, 8.0), (-12.5, 40.0, 7.25))),
        "float": heart.with_data(heart.data.astype(np.float32) / 7),
        "cine": cine_of(heart),
        "photo": Volume(
            np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3)).astype(np.uint8),
            replace(Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), spacing_known=False),
            ("slices", "rows", "columns", "channels"),
            modality="photo",
        ),
        "signed byte": heart.with_data((heart.data // 2 - 60).astype(np.int8)),
    }[kind]
    back = volume_of(image_nodes(add_image(volume, "copy")))
    assert identity(back) == identity(volume)
    assert np.array_equal(back.data, volume.data)
    assert back.geometry.same_space(volume.geometry)
