"""Exchange volumes between processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.jobs.protocol import from_line, to_line
from napari_flomo.segmentation.exchange import pack_volume, unpack_volume
from napari_flomo.volumes import Geometry, Volume


def there_and_back(volume: Volume, folder: Path) -> Volume:
    packed = from_line(to_line({"volume": pack_volume(folder, volume)}))
    return unpack_volume(folder, packed["volume"])


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float64", ">f4"])
def test_volumes(make_volume, tmp_path, dtype):
    volume = make_volume(frames=2, dtype=dtype)
    back = there_and_back(volume, tmp_path)
    assert np.array_equal(back.data, volume.data)
    assert back.data.dtype == volume.data.dtype
    assert back.geometry == volume.geometry  # to the last digit
    assert (back.axes, back.modality) == (volume.axes, "MR")
    assert back.source == ""


def test_photos_and_views(tmp_path):
    """A viewer may hold a flipped or thinned view of its array."""
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 60, 3), dtype=np.uint8)[:, ::-2, ::3]
    axes = ("slices", "rows", "columns", "channels")
    photo = Volume(pixels, Geometry.unknown(), axes, modality="photo")
    back = there_and_back(photo, tmp_path)
    assert np.array_equal(back.data, pixels)
    assert not back.geometry.spacing_known


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk(make_volume, tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "image.npy").symlink_to("/dev/full")
    with pytest.raises(FlomoError, match="Not enough room for temporary files"):
        pack_volume(tmp_path / "job", make_volume(slices=9))
