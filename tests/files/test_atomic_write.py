"""A file is written whole or not at all, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import files
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write, atomic_write_all, check_writable


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_with(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_creates_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a.nii.gz"
    for text in ("first", "second"):
        with atomic_write(target) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.name.endswith(".nii.gz")
            temporary.write_text(text)
        assert target.read_text() == text
        assert names(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.b.nrrd", ".nrrd"), ("x.NII.GZ", ".NII.GZ"), ("plain", "")]
)
def test_temporary_file_keeps_the_suffix(tmp_path: Path, name: str, suffix: str) -> None:
    with atomic_write(tmp_path / name) as temporary:
        assert temporary.name.partition(".flomo-")[2][12:] == suffix


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), SystemExit(143)])
def test_failure_in_the_block_leaves_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EIO, "could not be written"),
        (errno.EROFS, "permission"),
    ],
)
def test_failure_of_the_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    monkeypatch.setattr(files.os, "fsync", fail_with(number))
    with pytest.raises(FlomoError, match=sentence), atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == []


def test_really_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")

    def write() -> None:
        with atomic_write(tmp_path / "a.txt"), Path("/dev/full").open("w") as full:
            full.write("x" * 100)

    with pytest.raises(FlomoError, match=r"disk is full.*a\.txt was not written"):
        write()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing/a.nii.gz", "folder .*missing does not exist; create it"),
        ("", "is a folder"),
        ("/dev/null", "not an ordinary file"),
        ("x" * 300, "too long"),
        ("/proc/self/labels.nii.gz", "does not exist|could not be written|No permission"),
    ],
)
def test_paths_that_cannot_be_written(tmp_path: Path, path: str, sentence: str) -> None:
    if path.startswith("/") and not Path(path).parent.is_dir():
        pytest.skip(f"this system has no {path}")
    with pytest.raises(FlomoError, match=sentence):
        check_writable(tmp_path / path)


def test_write_protected_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(0o444)
    with pytest.raises(FlomoError, match="No permission"):
        check_writable(target)
    assert names(tmp_path) == ["a.txt"]


def test_permissions(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no permission bits")
    private = tmp_path / "private"
    private.write_text("old")
    private.chmod(0o600)
    old_mask = os.umask(0o027)
    try:
        for target in (private, tmp_path / "new"):
            with atomic_write(target) as temporary:
                temporary.write_text("new")
    finally:
        os.umask(old_mask)
    assert private.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_error_of_another_file_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
        (tmp_path / "not there").read_text()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    targets = [tmp_path / name for name in ("a", "b", "c")]
    targets[0].write_text("old")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if Path(target) == targets[failing] and not self.name.endswith(".old"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)

    def write() -> None:
        with atomic_write_all(targets) as temporaries:
            for temporary in temporaries:
                temporary.write_text("new")

    with pytest.raises(FlomoError, match=targets[failing].name):
        write()
    assert names(tmp_path) == ["a"]
    assert targets[0].read_text() == "old"


def test_together_writes_all(tmp_path: Path) -> None:
    targets = [tmp_path / "a", tmp_path / "b"]
    targets[1].write_text("old")
    with atomic_write_all(targets) as temporaries:
        for temporary, text in zip(temporaries, "AB", strict=True):
            temporary.write_text(text)
    assert [target.read_text() for target in targets] == ["A", "B"]
    assert names(tmp_path) == ["a", "b"]


# Signals end the command by an exception; the file is overwritten until then.
OVERWRITING = """
import sys, time
from napari_flomo import cli
from napari_flomo.files import atomic_write
def run(args):
    with atomic_write("a.txt") as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)
cli.doctor.run = run
sys.exit(cli.main(["doctor"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGKILL", -9)]
)
def test_killed_in_the_middle_leaves_the_old_file(
    tmp_path: Path, start_python: Callable[..., Any], name: str, code: int
) -> None:
    (tmp_path / "a.txt").write_text("old")
    child = start_python("-c", OVERWRITING)
    assert child.stdout.readline() == "writing\n"
    child.send_signal(getattr(signal, name))
    assert child.wait(60) == code
    assert (tmp_path / "a.txt").read_text() == "old"
    if name != "SIGKILL":  # nobody can clean up after that one
        assert names(tmp_path) == ["a.txt"]


def test_old_temporary_files_are_removed(tmp_path: Path) -> None:
    old, new, other = ".flomo-0123456789ab.mha", ".flomo-ba9876543210.nii.gz", ".flomo-notes"
    for name in (old, new, other):
        (tmp_path / name).touch()
    for name in (old, other):
        os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    with atomic_write(tmp_path / "image.txt") as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == [new, other, "image.txt"]
