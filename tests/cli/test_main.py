"""Exit codes and error messages of the command."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from napari_flomo import __version__, cli
from napari_flomo.commands import doctor
from napari_flomo.errors import Cancelled, FlomoError

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[[BaseException], None]
Flomo = Callable[..., tuple[str, str]]


@pytest.fixture
def doctor_raises(monkeypatch: pytest.MonkeyPatch) -> Fails:
    """Let ``flomo doctor`` end with an exception."""

    def make(error: BaseException) -> None:
        def run(args: argparse.Namespace) -> int:
            raise error

        monkeypatch.setattr(doctor, "run", run)

    return make


UNEXPECTED = "flomo: Unexpected"


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (FlomoError("It is broken; fix it."), 2, "flomo: It is broken; fix it."),
        (Cancelled(), 130, "flomo: Interrupted; no partial file was left."),
        (KeyboardInterrupt(), 130, "flomo: Interrupted; no partial file was left."),
        (MemoryError(), 2, "flomo: Not enough memory; close other programs"),
        (OutOfMemoryError("CUDA"), 2, "flomo: Not enough memory; close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "flomo: Not enough memory"),
        (ZeroDivisionError("by zero\nmore"), 1, f"{UNEXPECTED} ZeroDivisionError: by zero (add --"),
        (RuntimeError(), 1, f"{UNEXPECTED} RuntimeError: no message"),
    ],
)
def test_failures_are_one_sentence(
    doctor_raises: Fails, flomo: Flomo, error: BaseException, code: int, sentence: str
) -> None:
    doctor_raises(error)
    out, err = flomo("doctor", code=code)
    assert out == ""
    assert err.startswith(sentence)
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_debug_shows_a_traceback(doctor_raises: Fails, flomo: Flomo, arguments: list[str]) -> None:
    doctor_raises(ValueError("deep inside"))
    err = flomo(*arguments, code=1)[1]
    assert "Traceback" in err
    assert err.endswith("flomo: Unexpected ValueError: deep inside\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["segment"],
        ["segment", "in.nii"],
        ["segment", "in.nii", "-o", "out.nii", "--device", "tpu"],
        ["segment", "in.nii", "-o", "out.nii", "--frames", "2-1"],
        ["segment", "in.nii", "-o", "out.nii", "--frames", "first"],
    ],
)
def test_wrong_arguments_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: flomo" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"flomo {__version__}\n"


def test_module_is_the_command(run_python: Run) -> None:
    result = run_python("-m", "napari_flomo", "--version")
    assert (result.returncode, result.stdout) == (0, f"flomo {__version__}\n")


def test_training_commands() -> None:
    if importlib.util.find_spec("flomo_training") is None:
        pytest.skip("the training package is not installed here")
    args = cli.build_parser().parse_args(["train", "recipe.yaml", "--fold", "2", "--resume"])
    assert (str(args.recipe), args.fold, args.resume) == ("recipe.yaml", 2, True)
    args = cli.build_parser().parse_args(["evaluate", "--model", "m", "--data", "d"])
    assert (args.model, args.fold, args.split) == ("m", 0, "validation")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_no_training_package(command: str, monkeypatch: pytest.MonkeyPatch, flomo: Flomo) -> None:
    monkeypatch.setattr(cli, "_TRAINING_ARGUMENTS", "package_that_is_absent.arguments")
    assert "pip install 'napari-flomo[train]'" in flomo(command, "recipe.yaml", code=2)[1]


def test_missing_training_dependency(monkeypatch: pytest.MonkeyPatch, flomo: Flomo) -> None:
    if importlib.util.find_spec("flomo_training") is None:
        pytest.skip("the training package is not installed here")
    real = importlib.import_module

    def absent(name: str) -> object:
        if name == "flomo_training.fit":
            raise ModuleNotFoundError("No module named 'lightning'", name="lightning")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert "needs the package lightning" in flomo("train", "recipe.yaml", code=2)[1]


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_broken_pipe(run_python: Run) -> None:
    """``flomo doctor | head -0`` ends quietly."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    program = (
        "import sys; from napari_flomo.commands import doctor; from napari_flomo import cli\n"
        "doctor.run = lambda args: print('x' * 100000) or 0\n"
        "sys.exit(cli.main(['doctor']))"
    )
    with os.fdopen(write_end, "wb") as pipe:
        result = run_python("-c", program, stdout=pipe)
    assert result.returncode == cli.EXIT_BROKEN_PIPE
    assert result.stderr == ""


def test_terminal_without_unicode(doctor_raises: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", screen)
    doctor_raises(FlomoError("Herz.nii is not für us: \udcff."))
    assert cli.main(["doctor"]) == 2
    screen.flush()
    assert screen.buffer.getvalue().startswith(b"flomo: Herz.nii is not f\\xfcr us")
