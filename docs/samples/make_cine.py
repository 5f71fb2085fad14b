"""Make the cine among napari's sample data out of the DICOM files of Sunnybrook case SC-HF-I-1.

python docs/samples/make_cine.py DICOM_FOLDER
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from napari_flomo.volumes import Volume, read, write

PACKAGE = Path(__file__).resolve().parents[2] / "napari_flomo" / "samples"
ROWS, COLUMNS = slice(56, 216), slice(50, 210)  # the heart and 5 cm around it


def middle(volume: Volume) -> Volume:
    """Cut the middle out of a volume; every voxel stays where it was in the patient."""
    origin = volume.geometry.positions((COLUMNS.start, ROWS.start, 0))
    geometry = replace(volume.geometry, origin=tuple(origin.tolist()))
    return replace(volume, data=volume.data[..., ROWS, COLUMNS], geometry=geometry)


def main() -> None:
    """Read, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="DICOM files of SC-HF-I-1")
    target = PACKAGE / "sunnybrook_cine.nii.gz"
    write(middle(read(parser.parse_args().folder)), target)
    print(f"{target.name}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
