"""Make the reference set of the bundled model from three Sunnybrook patients.

python training/benchmarks/pack_reference.py SUNNYBROOK_FOLDER

The folder holds ``cases.csv``, ``images/`` and ``labels/`` of SC-HF-I-1, -4 and -5 at end diastole
and end systole: the left ventricle in code 3 and, at end diastole, its myocardium in code 2. Only
slices with contours are kept, cropped to the central 300 mm, the field of view of the network.
Voxels keep their values and their positions in the patient.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_flomo import DEFAULT_MODEL
from napari_flomo.files import atomic_folder
from napari_flomo.volumes import Volume, read, write

BUNDLED = Path(__file__).resolve().parents[2] / "napari_flomo" / "models" / "bundled"
CASES = ("SC-HF-I-1", "SC-HF-I-4", "SC-HF-I-5")
MIDDLE = slice(16, 240)  # of 256 rows and columns
STRUCTURES = {"ED": "2 3", "ES": "3"}

README = """# Reference set

Six short-axis images of three patients (SC-HF-I-1, -4, -5, end diastole and end systole) of the
Sunnybrook Cardiac Data, dedicated to the public domain (CC0 1.0), cut to the slices that have
contours and to the middle 224 x 224 pixels. Labels: 3 left ventricle, 2 its myocardium (end
diastole only); the right ventricle is not labelled. Made by
`training/benchmarks/pack_reference.py`. Please cite: P. Radau et al., "Evaluation framework for
algorithms segmenting short axis cardiac MRI", The MIDAS Journal, 2009, hdl 10380/3070.
"""


def labelled_slices(labels: Volume) -> slice:
    """Return the contiguous range of slices that have contours; raise a `ValueError` for gaps."""
    there = np.flatnonzero(labels.data.any((1, 2)))
    if len(there) != there[-1] - there[0] + 1:
        raise ValueError("the labelled slices are not contiguous")
    return slice(int(there[0]), int(there[-1]) + 1)


def cut(volume: Volume, kept: slice) -> Volume:
    """Crop slices to their centre; voxels keep their positions in the patient."""
    origin = volume.geometry.positions((MIDDLE.start, MIDDLE.start, kept.start))
    geometry = replace(volume.geometry, origin=tuple(origin.tolist()))
    return replace(volume, data=volume.data[kept, MIDDLE, MIDDLE], geometry=geometry, source="")


def pack(source: Path, target: Path) -> None:
    """Write the reference set into a new or empty folder."""
    rows = []
    with atomic_folder(target) as folder:
        for name in ("images", "labels"):
            (folder / name).mkdir()
        for number, original in enumerate(CASES, start=1):
            for phase, structures in STRUCTURES.items():
                image = read(source / "images" / f"{original}_{phase}.nii.gz")
                labels = read(source / "labels" / f"{original}_{phase}_gt.nii.gz")
                kept, name = labelled_slices(labels), f"reference-{number}_{phase}"
                write(cut(image, kept), folder / "images" / f"{name}.nii.gz")
                write(cut(labels, kept), folder / "labels" / f"{name}_gt.nii.gz")
                row = {"case": name, "patient": f"reference-{number}", "phase": phase}
                rows.append(row | {"structures": structures})
        lines = [",".join(cells) for cells in (rows[0], *(row.values() for row in rows))]
        (folder / "cases.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        manifest = {"data": "Sunnybrook reference", "licence": "CC0-1.0"}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        (folder / "README.md").write_text(README, encoding="utf-8")


def main() -> None:
    """Write the reference set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="Sunnybrook images and labels")
    parser.add_argument("--out", type=Path, default=BUNDLED / DEFAULT_MODEL / "reference")
    args = parser.parse_args()
    pack(args.source, args.out)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out.name}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
