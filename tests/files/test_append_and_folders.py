"""Logs grow by whole records, folders appear whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_flomo import files
from napari_flomo.errors import FlomoError
from napari_flomo.files import append, atomic_folder, make_folder


def fail_with(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_append_creates_and_extends_a_file(tmp_path: Path) -> None:
    append(tmp_path / "log", b"one\n")
    append(tmp_path / "log", b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_failed_append_restores_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path / "log", b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fail_with(errno.ENOSPC))
        with pytest.raises(FlomoError, match="disk is full"):
            append(tmp_path / "log", b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\n"


def test_append_to_a_full_disk() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(FlomoError, match="disk is full"):
        append("/dev/full", b"x")


@pytest.mark.parametrize("exists", [False, True])
def test_folder_is_created_atomically(tmp_path: Path, exists: bool) -> None:
    if exists:  # and is empty
        (tmp_path / "new").mkdir()
    with atomic_folder(tmp_path / "new") as temporary:
        (temporary / "a").write_text("a")
        assert not (tmp_path / "new" / "a").exists()
    assert names(tmp_path) == ["new"]
    assert names(tmp_path / "new") == ["a"]


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt()])
def test_failure_leaves_no_folder(tmp_path: Path, failure: BaseException) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "new") as temporary:
            (temporary / "a").write_text("a")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert names(tmp_path) == []


def test_existing_files_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "precious").write_text("1")
    for target in (tmp_path / "old", tmp_path / "old" / "precious"):
        with pytest.raises(FlomoError, match="exists already"), atomic_folder(target):
            pass
    assert names(tmp_path) == ["old"]


def test_folder_in_a_missing_parent(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="does not exist"):
        make_folder(tmp_path / "a" / "b")
    assert make_folder(make_folder(tmp_path / "a") / "b").is_dir()
