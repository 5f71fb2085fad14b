"""``flomo finetune``: corrections teach a model, and the gate judges what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_flomo import DEFAULT_MODEL

EPILOG = """examples:
  flomo finetune --out runs/learnt
  flomo finetune --store /shared/corrections --base flomo-b0-acdc --replay data/acdc --out runs/a
  flomo finetune --out runs/learnt --resume

The candidate is in DIR/model, the gate's report in DIR/model/gate. It replaces nothing by itself:
flomo models promote NAME does, if the gate let it pass.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo finetune``."""
    parser = subparsers.add_parser(
        "finetune",
        help="teach a model what readers corrected",
        description="Fine-tune a model with the accepted corrections of a store, and compare it "
        "with its parent on data that neither was trained on.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--store", metavar="DIR", help="folder of the corrections (default: the user's own)"
    )
    parser.add_argument(
        "--base",
        metavar="NAME|FOLDER",
        help=f"model to start from (default: the one in use for {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--replay",
        metavar="DIR|FILE",
        help="data that the base was trained on, so that it does not forget it",
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        help="held-out data of the base task for the gate (default: what comes with the base)",
    )
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="where checkpoints and the candidate go"
    )
    parser.add_argument(
        "--settings", metavar="FILE", help="YAML with numbers that differ from the package's"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Learn, tell it in the run folder, print what came of it."""
    from napari_flomo.corrections import default_store
    from napari_flomo.jobs import StatusWriter
    from napari_flomo.jobs.tasks import import_training
    from napari_flomo.models import in_use

    out = Path(args.out)
    finetuning = import_training("flomo_training.finetuning")
    with StatusWriter(out) as status:
        learnt = finetuning.learn(
            in_use(DEFAULT_MODEL) if args.base is None else args.base,
            default_store() if args.store is None else Path(args.store),
            out,
            replay=None if args.replay is None else Path(args.replay),
            reference=None if args.reference is None else Path(args.reference),
            settings=finetuning.read_settings(args.settings),
            device=args.device,
            progress=status.progress,
            cancelled=status.cancelled,
            resume=args.resume,
        )
        result = learnt.as_dict()
        status.finish(result)
    if args.json:
        print(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(result)
    return 0


def _print(result: Mapping[str, Any]) -> None:
    for sentence in result["skipped"]:
        print(sentence, file=sys.stderr)
    dice = result["held_out_dice"] or {}
    if dice.get("after") is not None:
        before, after = dice["before"], dice["after"]
        print(f"Dice on the held-out corrections: {before:.3f} before, {after:.3f} after.")
    gate = result["gate"]
    print(f"The gate says: {gate['verdict']}.")
    for reason in gate["reasons"]:
        print(f"- {reason}")
    print(f"The candidate {result['candidate']} is on the shelf of tuned models.")
    if gate["passed"]:
        print(f"Use it from now on with: flomo models promote {result['candidate']}")
