"""The files of a study, and whether they have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_flomo.cohorts import Study
from napari_flomo.cohorts.inputs import read_input
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import stamp_of

Grow = Callable[..., Path]


def test_hash_of_a_file(grow: Grow) -> None:
    root = grow("p/a.nii.gz", content=b"voxels")
    reported = read_input(Study("p/a.nii.gz"), root)
    assert reported.sha256 == hashlib.sha256(b"voxels").hexdigest()
    assert (reported.files, reported.bytes) == (1, 6)


def test_hash_of_a_series(grow: Grow) -> None:
    root = grow("s/1", "s/2", "s/.hidden", "s/deeper/3")
    sums = [f"{hashlib.sha256(f's/{n}'.encode()).hexdigest()}  {n}\n" for n in "12"]
    study = Study("s", series=True)
    reported = read_input(study, root)
    assert reported.sha256 == hashlib.sha256("".join(sums).encode()).hexdigest()
    assert reported.files == 2
    (root / "s" / "2").rename(root / "s" / "4")
    assert read_input(study, root).sha256 != reported.sha256


NRRD = b"NRRD0004\ntype: uint8\ndimension: 1\nsizes: 1\nencoding: raw\n"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("a.nhdr", NRRD + b"data file: a1.raw\n\n"),
        ("a.nhdr", NRRD + b"data file: LIST\na1.raw\n"),
        ("a.nhdr", NRRD + b"data file: a%d.raw 1 2 1\n\n"),
        ("a.mhd", b"DimSize = 1\nElementDataFile = a1.raw\n"),
        ("a.mhd", b"DimSize = 1\nElementDataFile = LIST\na1.raw\n"),
        ("a.mhd", b"DimSize = 1 1 2\nElementDataFile = a%d.raw 1 2 1\n"),
        ("a.mhd", b"DimSize = 1 1 2\nElementDataFile = a%d.raw\n"),
    ],
)
def test_data_files(grow: Grow, header: str, text: bytes) -> None:
    root = grow("a1.raw", "a2.raw", content=b"1")
    grow(header, content=text)
    before = read_input(Study(header), root)
    grow("a1.raw", content=b"22")
    after = read_input(Study(header), root)
    assert before.files == after.files == (3 if b"%d" in text else 2)
    assert before.sha256 != after.sha256
    assert before.stamp != after.stamp


def test_damaged_header(grow: Grow) -> None:
    root = grow("a.nhdr", content=b"NRRD0004\ntype: uint8\n")
    assert read_input(Study("a.nhdr"), root).files == 1


def test_stamp(grow: Grow) -> None:
    root = grow("a.nii", content=b"1")
    study, path = Study("a.nii"), root / "a.nii"
    os.utime(path, ns=(5, 5))
    first = stamp_of(study, root)
    path.write_bytes(b"2")
    os.utime(path, ns=(5, 5))
    assert stamp_of(study, root) == first  # what docs/cohorts.md admits
    os.utime(path, ns=(5, 6))
    assert stamp_of(study, root) != first
    path.unlink()
    assert stamp_of(study, root) is None
    with pytest.raises(FlomoError, match=r"a\.nii cannot be found"):
        read_input(study, root)
