"""A file is written whole or not at all, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

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


def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so the refusal is played here; the next test has a real one.
    monkeypatch.setattr(files.os, "open", fail_with(errno.EACCES))
    with pytest.raises(FlomoError, match="No permission to write"):
        check_writable(tmp_path / "a.txt")


def test_write_to_a_read_only_folder() -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("this system has no /proc, which refuses new files even to root")
    with pytest.raises(FlomoError):
        check_writable("/proc/self/labels.nii.gz")


def test_write_protected_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(0o444)
    with pytest.raises(FlomoError, match="No permission"):
        check_writable(target)
    assert names(tmp_path) == ["a.txt"]


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match=r"folder .*missing does not exist; create it"):
        check_writable(tmp_path / "missing" / "a.nii.gz")


def test_folders_and_devices_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(FlomoError, match="not an ordinary file"):
        check_writable(os.devnull)
    assert Path(os.devnull).is_char_device()


def test_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="too long"):
        check_writable(tmp_path / ("x" * 300))


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
def test_together_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
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


def run_child(tmp_path: Path) -> subprocess.Popen[str]:
    """Start a process that overwrites ``a.txt`` and pauses in the middle."""
    program = """
        import pathlib, sys, time
        from napari_flomo.cli import _terminated_by_exception
        from napari_flomo.files import atomic_write
        with _terminated_by_exception(), atomic_write(sys.argv[1]) as temporary:
            temporary.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a.txt")]
    child = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    return child


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_in_the_middle_leaves_the_old_file(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "a.txt").write_text("old")
    child = run_child(tmp_path)
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode != 0
    assert (tmp_path / "a.txt").read_text() == "old"
    if number != signal.SIGKILL:  # nobody can clean up after that one
        assert names(tmp_path) == ["a.txt"]
