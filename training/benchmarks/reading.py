"""Time `read` for a volume of ten slices, here and in another checkout.

Both run in separate processes in turns, so other load on the computer affects them equally.

    python training/benchmarks/reading.py ../other-checkout
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from page_writer import REPOSITORY, SAMPLE, document, parser_of, table, write_page

from napari_flomo.volumes import read, write

SLICES = 10
ROUNDS = 7
READS = 5
"""Reads in each round, after a first one that also imports the modules."""

FORMATS = {
    "NIfTI": "heart.nii.gz",
    "NRRD": "heart.nrrd",
    "MetaImage": "heart.mha",
    "DICOM series": "series",
}

_READ = """
import json, sys, time
from napari_flomo.volumes import read
seconds = {}
for name in sys.argv[2:]:
    read(name)
    seconds[name] = []
    for _ in range(int(sys.argv[1])):
        start = time.process_time()
        read(name)
        seconds[name].append(time.process_time() - start)
print(json.dumps(seconds))
"""


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "reading.md")
    parser.add_argument("other", type=Path, help="folder of the checkout to compare with")
    parser.add_argument("--title", default="another checkout", help="its title in the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flomo-") as name:
        folder = Path(name)
        make_inputs(folder)
        here, other = measure((REPOSITORY, options.other.resolve()), folder)
    write_page(options.out, page(here, other, options.title))


def make_inputs(folder: Path) -> None:
    """Write ten slices of the sample in every format."""
    sample = read(SAMPLE)
    volume = replace(sample, data=sample.data[:SLICES])
    for file in FORMATS.values():
        if "." in file:
            write(volume, folder / file)
    write_series(folder / FORMATS["DICOM series"], folder / FORMATS["NIfTI"])


def write_series(folder: Path, image: Path) -> None:
    """Write an image as a DICOM series, one file for each slice."""
    import SimpleITK as sitk  # noqa: N813

    volume = sitk.ReadImage(str(image))
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = volume.GetDirection()
    for index in range(volume.GetDepth()):
        plane = volume[:, :, index]
        place = volume.TransformIndexToPhysicalPoint((0, 0, index))
        elements = {
            "0008|0060": "MR",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.9.{index + 1}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.7",
            "0020|000e": "1.2.826.0.1.3680043.2.1125.8",
            "0020|0013": str(index + 1),
            "0020|0032": "\\".join(f"{value:.6f}" for value in place),
            "0020|0037": "\\".join(f"{direction[n]:.8f}" for n in (0, 3, 6, 1, 4, 7)),
        }
        for tag, value in elements.items():
            plane.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{index:03}.dcm"))
        writer.Execute(plane)


def measure(checkouts: Sequence[Path], folder: Path) -> list[dict[str, float]]:
    """Return the processor time of one read in seconds, by format, for each checkout."""
    files = [str(folder / file) for file in FORMATS.values()]
    found: list[dict[str, list[float]]] = [{file: [] for file in files} for _ in checkouts]
    for _ in range(ROUNDS):
        for checkout, seconds in zip(checkouts, found, strict=True):
            done = subprocess.run(
                [sys.executable, "-c", _READ, str(READS), *files],
                check=True,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(checkout)},
                cwd=folder,
            )
            for file, values in json.loads(done.stdout).items():
                seconds[file] += values
    return [
        {form: statistics.median(one[str(folder / file)]) for form, file in FORMATS.items()}
        for one in found
    ]


def page(here: dict[str, float], other: dict[str, float], title: str) -> str:
    """Return the page."""
    rows = [
        [form, f"{1e3 * before:.1f}", f"{1e3 * here[form]:.1f}", f"{here[form] / before:.2f}"]
        for form, before in other.items()
    ]
    return document(
        "# Reading images",
        f"Processor time in milliseconds of `volumes.read` for {SLICES} slices of 256 x 256 pixels "
        f"(the sample); medians of {ROUNDS} x {READS} reads in alternating processes. Python "
        f"{platform.python_version()}, {platform.system()}. Made by "
        "`training/benchmarks/reading.py`.",
        table(["format", title, "now", "ratio"], rows),
    )


if __name__ == "__main__":
    main()
