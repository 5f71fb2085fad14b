"""``flomo models``: which models there are; fetch, publish, check, promote and remove them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo import DEFAULT_MODEL
from napari_flomo.commands.actions import add_actions
from napari_flomo.errors import Cancelled, FlomoError

if TYPE_CHECKING:
    from napari_flomo.models import ModelCard, ModelState

EPILOG = """examples:
  flomo models list
  flomo models pull hf:organisation/name@v1.0
  flomo models push my_model_folder --repo organisation/name --private
  flomo models promote flomo-b0-acdc.tuned-1a2b3c4d
  flomo models rollback

environment:
  FLOMO_HOME     folder for fetched and tuned models
  FLOMO_OFFLINE  1: never use the network (HF_HUB_OFFLINE does the same)
  HF_ENDPOINT    address of a mirror of the Hub
  HF_TOKEN       token for private repositories and for push
"""

NAME_HELP = "name, name@revision or hf:organisation/name@revision"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo models``."""
    add = add_actions(
        subparsers, "models", "list, fetch, publish, promote and remove models", EPILOG
    )

    add("list", run_list, "show which models there are and where")
    action = add("info", run_info, "show the card of a model")
    action.add_argument("model", metavar="NAME", help=f"{NAME_HELP}, or a folder")
    action = add("pull", run_pull, "fetch a model from the Hugging Face Hub")
    action.add_argument("model", metavar="NAME", help=NAME_HELP)
    action.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")
    action = add("push", run_push, "publish a model on the Hugging Face Hub")
    action.add_argument("model", metavar="DIR", help="folder of a model, or its name")
    action.add_argument("--repo", metavar="ORG/NAME", required=True, help="where to publish it")
    action.add_argument("--private", action="store_true", help="make a new repository private")
    action.add_argument("--message", default="Publish the model", help="message of the commit")
    action = add("verify", run_verify, "read all files of models and compare their SHA-256")
    action.add_argument("models", metavar="NAME", nargs="*", help="default: all that are here")
    action = add("remove", run_remove, "delete a fetched or tuned model from this computer")
    action.add_argument("model", metavar="NAME", help=f"{NAME_HELP}; all revisions without one")
    action = add("promote", run_promote, "let a tuned model take the place of its parent")
    action.add_argument(
        "model", metavar="NAME|DIR", help="a tuned model, or the folder of a finished candidate"
    )
    action.add_argument(
        "--despite-gate", action="store_true", help="although the gate did not let it pass"
    )
    action = add("rollback", run_rollback, "go back to the model before the last promotion")
    action.add_argument(
        "base",
        metavar="BASE",
        nargs="?",
        default=DEFAULT_MODEL,
        help="the base model (default: %(default)s)",
    )
    _register_import(add("import-reference", run_import, "make a model of official weights"))


def _register_import(action: argparse.ArgumentParser) -> None:
    action.add_argument("weights", metavar="WEIGHTS.npz", help="arrays of the official Keras code")
    action.add_argument("-o", "--output", metavar="DIR", required=True, help="folder to write")
    action.add_argument(
        "--labels",
        metavar="NAME,NAME",
        required=True,
        help="structures in the order of the output channels, without the background",
    )
    action.add_argument("--name", help="of the model (default: the name of the folder)")
    action.add_argument("--licence", default="unknown", help="of the weights")
    action.add_argument("--training-data", default="unknown", help="what they were trained on")
    action.add_argument("--photo", action="store_true", help="for photos, not for slices")
    action.add_argument(
        "--pixel-mm", type=float, metavar="MM", help="pixel size they were trained at"
    )
    action.add_argument(
        "--crop",
        type=int,
        default=224,
        metavar="PIXELS",
        help="side of the square that they see, a multiple of 16 up to 256 (default: %(default)s)",
    )


def run_list(args: argparse.Namespace) -> int:
    """Show which models there are and where."""
    from napari_flomo.models import list_models

    states = list_models()
    if args.json:
        _print_json({"models": states})
        return 0
    width = max((len(state.name) for state in states), default=0)
    for state in states:
        size = "" if state.size is None else _bytes(state.size)
        standing = f"{state.place}, {state.state}" if state.state else state.place
        origin = f" (from {state.parent})" if state.parent else ""
        line = f"{state.name:{width}}  {standing:17}  {size:>8}  {state.summary}{origin}"
        print(line.rstrip())
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Show the card of a model."""
    from napari_flomo.models import info

    state, card = info(args.model)
    if args.json:
        _print_json({"model": state, "card": card.to_dict(), "card_hash": card.card_hash})
    else:
        print("\n".join(_card_lines(state, card)))
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Fetch a model, with a bar of the bytes."""
    from napari_flomo.models import load_card, pull
    from napari_flomo.progress import Progress, progress_bar

    with progress_bar("B", quiet=args.quiet) as report, kept():
        folder = pull(
            args.model, lambda done, total, _left: report(Progress(done, total, "Downloading"))
        )
    card = load_card(folder)
    if args.json:
        _print_json({"name": card.name, "folder": folder, "sha256": card.sha256})
    elif not args.quiet:
        print(f"{card.name} is verified and lies in {folder}")
    return 0


def run_push(args: argparse.Namespace) -> int:
    """Publish a model and show how to pin it."""
    from napari_flomo.models import push

    pushed = push(args.model, args.repo, args.private, message=args.message)
    if args.json:
        _print_json({"url": pushed.url, "entry": pushed.entry})
    else:
        revision = pushed.entry["revision"]
        print(f"Published: {pushed.url}")
        print(f"Use it with: --model hf:{args.repo}@{revision}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Compare all files with their hashes; the exit code is 2 when one is wrong."""
    from napari_flomo.models import verify

    verdicts = verify(args.models or None)
    if args.json:
        _print_json({"models": verdicts})
    else:
        for verdict in verdicts:
            print(f"{verdict.name}: {verdict.problem or 'verified'}")
    return 2 if any(verdict.problem for verdict in verdicts) else 0


def run_remove(args: argparse.Namespace) -> int:
    """Delete a fetched model."""
    from napari_flomo.models import remove

    freed = remove(args.model)
    if args.json:
        _print_json({"name": args.model, "freed": freed})
    else:
        print(f"Removed {args.model}, {_bytes(freed)}")
    return 0


def run_promote(args: argparse.Namespace) -> int:
    """Put a tuned model in the place of its parent."""
    from napari_flomo.models import install_candidate, promote

    given = Path(args.model).expanduser()
    name = install_candidate(given) if given.is_dir() else args.model
    base = promote(name, despite_gate=args.despite_gate)
    if args.json:
        _print_json({"base": base, "in_use": name})
    else:
        print(f"{name} stands for {base} now; go back with: flomo models rollback {base}")
    return 0


def run_rollback(args: argparse.Namespace) -> int:
    """Take the last promotion back."""
    from napari_flomo.models import rollback

    name = rollback(args.base)
    if args.json:
        _print_json({"base": args.base, "in_use": name})
    else:
        print(f"{name} is in use again.")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Make a model of official weights."""
    from napari_flomo.models import import_reference

    if Path(args.output).exists() and not Path(args.output).is_dir():
        raise FlomoError(f"{args.output} is a file; give the name of a folder to write.")
    card = import_reference(
        args.weights,
        args.output,
        name=args.name or Path(args.output).absolute().name,
        structures=[name.strip() for name in args.labels.split(",")],
        licence=args.licence,
        training_data=args.training_data,
        pixel_mm=args.pixel_mm,
        crop=args.crop,
        input_kind="photo" if args.photo else "stack",
    )
    if args.json:
        _print_json({"folder": args.output, "card": card.to_dict()})
    else:
        print(f"Wrote {card.name} ({card.network}, {card.num_classes} channels) to {args.output}")
    return 0


@contextmanager
def kept() -> Iterator[None]:
    """Say on an interruption what is true of a download: what came is kept."""
    try:
        yield
    except (KeyboardInterrupt, Cancelled) as error:
        raise Cancelled(
            "Interrupted; what was fetched is kept, so the next try goes on."
        ) from error


def _card_lines(state: ModelState, card: ModelCard) -> list[str]:
    """Return a card as a person reads it."""
    from napari_flomo.models.readme import flat

    steps = card.preprocessing
    pixels = "as they are" if steps.pixel_mm is None else f"{steps.pixel_mm:g} mm"
    view = "whole image" if steps.crop is None else f"{steps.crop} pixels"
    lines = [
        f"{card.name} ({', '.join(filter(None, (state.place, state.state, str(state.folder))))})",
        f"  network: {card.network}, {card.in_channels} channel(s), for one {card.input_kind}",
        f"  pixels: {pixels}; field of view: {view}",
        f"  activation: {card.activation}, temperature {card.temperature:g}",
        "  labels:",
    ]
    for label in card.labels:
        term = f", SNOMED CT {label.snomed.code} ({label.snomed.meaning})" if label.snomed else ""
        lines.append(f"    {label.code}  {label.name}{term}")
    lines += [
        f"  licence: {card.licence}",
        f"  trained on: {card.training_data}",
        f"  protocol: {card.protocol or 'not stated'}",
    ]
    if isinstance(card.metrics.get("mean_dice"), float):
        lines.append(f"  mean Dice: {card.metrics['mean_dice']:.4f}")
    return [
        *lines,
        f"  tuned from: {card.parent or 'no other model'}",
        *(f"    {key}: {value}" for key, value in flat(card.lineage or {})),
        *_gate_lines(card),
        f"  source: {state.source or 'not from the Hub'}",
        f"  SHA-256 of the weights: {card.sha256}",
    ]


def _gate_lines(card: ModelCard) -> list[str]:
    """Return what the gate found, for a model that was tuned."""
    if card.gate is None:
        return [] if card.parent is None else ["  gate: not judged yet"]
    lines = [f"  gate: {card.gate.get('verdict')}"]
    return lines + [f"    {reason}" for reason in card.gate.get("reasons", ())]


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _print_json(report: dict[str, Any]) -> None:
    from napari_flomo.commands.report import print_json

    print_json(report)
