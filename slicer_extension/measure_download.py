"""Print the download sizes that the installer shows.

Run ``python slicer_extension/measure_download.py`` with pip and an internet connection.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = "3.12"  # of Slicer 5.8 to 5.13


def main() -> None:
    """Download the packages of the installer and print their sizes."""
    installer = (HERE / "FLoMoSegmentation/FLoMoSegmentationLib/installer.py").read_text("utf-8")
    names = re.findall(r'^    "([\w-]+>=.+)",$', installer, re.M)
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        where = ["--python-version", PYTHON, "--only-binary=:all:", "-d", f"{scratch}/others"]
        subprocess.run([*pip, "download", *where, *names], check=True)
        subprocess.run(
            [*pip, "wheel", "--no-deps", "-w", f"{scratch}/ours", str(HERE.parent)], check=True
        )
        for folder in ("others", "ours"):
            wheels = [
                wheel
                for wheel in Path(scratch, folder).glob("*.whl")
                if not wheel.name.startswith("numpy-")  # part of Slicer
            ]
            size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
            print(f"{folder}: {len(wheels)} wheels, {size:.0f} MB")


if __name__ == "__main__":
    main()
