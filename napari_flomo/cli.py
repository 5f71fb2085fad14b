"""The ``flomo`` command: parse, run one subcommand, report every failure in one sentence.

Exit codes: 0 done, 1 a bug, 2 something that the user can fix (bad input, a full
disk, wrong arguments), 3 a model did not pass (``flomo gate --strict``) or some of many studies
failed (``flomo segment-many``), 130 interrupted by Ctrl+C, 141 the reader of the output went away.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

from napari_flomo import __version__
from napari_flomo.commands import (
    corrections,
    dicom_seg,
    doctor,
    export,
    finetune,
    measure,
    models,
    segment,
    segment_many,
    study_report,
    worker,
    worklist,
)
from napari_flomo.errors import Cancelled, FlomoError, out_of_memory

EXIT_BUG = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_COMMANDS = [
    segment,
    segment_many,
    models,
    export,
    dicom_seg,
    measure,
    study_report,
    corrections,
    worklist,
    finetune,
]
_COMMANDS += [doctor, worker]
_TRAINING_ARGUMENTS = "flomo_training.cli"
_TRAINING_COMMANDS = {
    "train": "train a network from a recipe",
    "evaluate": "measure a model on labelled data",
    "gate": "compare a tuned model with its parent",
    "calibrate": "fit a model's temperature",
    "data": "prepare a data set, or pack it into one file",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``flomo`` command.

    Parameters
    ----------
    arguments
        What follows ``flomo`` on the command line; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SystemExit
        From argparse: after ``--help`` and ``--version`` (0) and on wrong arguments (2).
    """
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal cannot show must not raise.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    args = build_parser().parse_args(arguments)
    try:
        with _terminated_by_exception():
            code: int = args.run(args)
            sys.stdout.flush()
    except (KeyboardInterrupt, Cancelled) as error:
        return _fail(_interrupted(error), error, args, EXIT_INTERRUPTED)
    except FlomoError as error:
        return _fail(str(error), error, args, EXIT_USER_ERROR)
    except BrokenPipeError:
        # What is still in the buffer would raise again when Python closes the stream.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if out_of_memory(error):
            sentence = "Not enough memory; close other programs or choose fewer --frames."
            return _fail(sentence, error, args, EXIT_USER_ERROR)
        message = (str(error).strip() or "no message").splitlines()[0]
        sentence = f"Unexpected {type(error).__name__}: {message}"
        hint = "" if args.debug else " (add --debug to see where)"
        return _fail(sentence + hint, error, args, EXIT_BUG)
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``flomo`` and all its subcommands; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="flomo",
        description="Cardiac MRI segmentation with uncertainty, review and fine-tuning "
        "for napari and 3D Slicer.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"flomo {__version__}")
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback when something fails"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.register(subparsers)
    _register_training(subparsers)
    for subparser in subparsers.choices.values():
        # Both places work; SUPPRESS keeps a subcommand from resetting what stood before it.
        subparser.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return parser


def _register_training(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the training commands, or placeholders that say how to install them."""
    try:
        found = importlib.util.find_spec(_TRAINING_ARGUMENTS) is not None
    except ImportError:
        found = False
    if found:
        importlib.import_module(_TRAINING_ARGUMENTS).register(subparsers)
        return
    for name, purpose in _TRAINING_COMMANDS.items():
        placeholder = subparsers.add_parser(name, help=f"{purpose} (not installed)", add_help=False)
        placeholder.add_argument("rest", nargs=argparse.REMAINDER)
        placeholder.set_defaults(run=_training_missing)


def _training_missing(_: argparse.Namespace) -> int:
    raise FlomoError(
        "The training package is not installed; install it with: pip install 'napari-flomo[train]'."
    )


@contextlib.contextmanager
def _terminated_by_exception() -> Iterator[None]:
    """Raise on SIGTERM, and when the terminal closes, so that temporary files are removed."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    names = [signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows, and ignored under nohup
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        names.append(hangup)
    previous = {name: signal.signal(name, leave) for name in names}
    try:
        yield
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)


def _fail(sentence: str, error: BaseException, args: argparse.Namespace, code: int) -> int:
    """Print one sentence on stderr, with the traceback before it under ``--debug``."""
    with contextlib.suppress(BrokenPipeError):
        if args.debug:
            traceback.print_exception(error, file=sys.stderr)
        print(f"flomo: {sentence}", file=sys.stderr, flush=True)
    return code


def _interrupted(error: BaseException) -> str:
    """Return the message of an interrupted command, its own if it has one."""
    own = str(error)
    if isinstance(error, Cancelled) and own != str(Cancelled()):
        return own
    return "Interrupted; no partial file was left."
