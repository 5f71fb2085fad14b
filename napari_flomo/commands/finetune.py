"""``flomo finetune``: fine-tune a model with corrections, and compare it with its parent."""

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

The candidate is in DIR/model, the gate's report in DIR/model/gate. It does not replace the base
model until it is promoted with: flomo models promote NAME
"""


LINE_SECONDS = 15.0
"""Between two lines of progress, where there is no terminal for a progress bar."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo finetune``."""
    parser = subparsers.add_parser(
        "finetune",
        help="fine-tune a model with corrections",
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
        help="training data of the base model, replayed so that it is not forgotten",
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        help="held-out data of the base task for the gate (default: the reference set of the base)",
    )
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="folder for checkpoints and the candidate"
    )
    parser.add_argument(
        "--settings", metavar="FILE", help="YAML file with hyperparameters to change"
    )
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fine-tune, with the status in the run folder, and print the result."""
    from napari_flomo.corrections import default_store
    from napari_flomo.jobs import FinetuneConfig, StatusWriter
    from napari_flomo.jobs.tasks import import_training
    from napari_flomo.models import in_use
    from napari_flomo.progress import Progress, progress_bar

    out = Path(args.out)
    config = FinetuneConfig(
        base=args.base or in_use(DEFAULT_MODEL),
        store=args.store or str(default_store()),
        replay=args.replay,
        reference=args.reference,
        device=args.device,
        settings=args.settings,
    )
    with StatusWriter(out) as status, progress_bar("step", line_seconds=LINE_SECONDS) as show:

        def progress(step: Progress) -> None:
            status.progress(step)
            show(step)

        learnt = import_training("flomo_training.finetuning").learn(
            config, out, resume=args.resume, progress=progress, cancelled=status.cancelled
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
    if result["candidate"] is None:
        print(result["sentence"])
        return
    dice = result["held_out_dice"]
    if dice["after"] is not None:
        before, after = dice["before"], dice["after"]
        print(f"Dice on the held-out corrections: {before:.3f} before, {after:.3f} after.")
    gate = result["gate"]
    print(f"Verdict of the gate: {gate['verdict']}.")
    for reason in gate["reasons"]:
        print(f"- {reason}")
    print(f"The candidate {result['candidate']} was added to the tuned models.")
    if gate["passed"]:
        print(f"Use it with: flomo models promote {result['candidate']}")
