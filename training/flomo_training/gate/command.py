"""``flomo gate``: compare a tuned model with its parent from the command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from flomo_training.gate.cases import HeldOut
from flomo_training.gate.report import PAGE_FILE, GateReport
from flomo_training.gate.rules import read_rules
from flomo_training.gate.run import run_gate
from napari_flomo.errors import FlomoError
from napari_flomo.models import GATE_FOLDER, load_card, locate, parent_of
from napari_flomo.progress import progress_bar
from napari_flomo.schema import SchemaError, decode, read_json

EXIT_NOT_PASSED = 3


def run_gate_command(args: argparse.Namespace) -> int:
    """Run ``flomo gate``; a candidate that does not pass is an error only with ``--strict``."""
    candidate = locate(args.candidate)
    parent = args.parent or parent_of(load_card(candidate))[0]
    if not parent:
        raise FlomoError(
            f"The card of {args.candidate} does not name a parent; give one with --parent."
        )
    out = candidate / GATE_FOLDER if args.out is None else args.out
    with progress_bar("slice", quiet=args.quiet) as progress:
        report = run_gate(
            parent=parent,
            candidate=candidate,
            store=args.store,
            held_out=[] if args.held_out is None else read_held_out_list(args.held_out),
            reference=args.reference,
            out=out,
            rules=None if args.rules is None else read_rules(args.rules),
            device=args.device,
            progress=progress,
        )
    if args.json:
        sys.stdout.write(report.text())
    elif not args.quiet:
        print("\n".join(_lines(report, out)))
    return EXIT_NOT_PASSED if args.strict and not report.passed else 0


@dataclass(frozen=True)
class _List:
    held_out: tuple[HeldOut, ...]


def read_held_out_list(path: Path) -> list[HeldOut]:
    """Read a JSON list of objects with the keys of `HeldOut`.

    Raises a `FlomoError` if the file cannot be read or a key is invalid.
    """
    try:
        return list(decode(_List, {"held_out": read_json(path)}).held_out)
    except (OSError, SchemaError) as error:
        raise FlomoError(f"The list {path} cannot be used: {error}; fix the file.") from error


def _lines(report: GateReport, out: Path) -> list[str]:
    lines = [f"{report.candidate.name}: {report.verdict}"]
    lines += [f"  {reason}" for reason in report.reasons]
    lines += [f"  Left out: {sentence}" for sentence in report.left_out]
    return [*lines, f"Full report: {out / PAGE_FILE}"]
