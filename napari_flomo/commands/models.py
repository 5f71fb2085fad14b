"""``flomo models``: list, download, publish, verify, promote and remove models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo import DEFAULT_MODEL
from napari_flomo.commands.options import add_actions, download_progress
from napari_flomo.commands.report import print_json

if TYPE_CHECKING:
    from napari_flomo.models import ModelCard, ModelState

EPILOG = """examples:
  flomo models list
  flomo models pull hf:organisation/name@v1.0
  flomo models push my_model_folder --repo organisation/name --private
  flomo models promote flomo-b0-acdc.tuned-1a2b3c4d
  flomo models rollback

environment:
  FLOMO_HOME     folder for downloaded and tuned models
  FLOMO_OFFLINE  1: never use the network (same as HF_HUB_OFFLINE)
  HF_ENDPOINT    address of a mirror of the Hub
  HF_TOKEN       token for private repositories and for push
"""

NAME_HELP = "name, name@revision or hf:organisation/name@revision"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo models``."""
    add = add_actions(
        subparsers, "models", "list, download, publish, promote and remove models", EPILOG
    )

    add("list", run_list, "list all models and where they are")
    action = add("info", run_info, "show the card of a model")
    action.add_argument("model", metavar="NAME", help=f"{NAME_HELP}, or a folder")
    action = add("pull", run_pull, "download a model from the Hugging Face Hub")
    action.add_argument("model", metavar="NAME", help=NAME_HELP)
    action.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")
    action = add("push", run_push, "publish a model on the Hugging Face Hub")
    action.add_argument("model", metavar="DIR", help="folder of a model, or its name")
    action.add_argument("--repo", metavar="ORG/NAME", required=True, help="created when missing")
    action.add_argument("--private", action="store_true", help="make the repository private")
    action.add_argument("--message", default="Publish the model", help="commit message")
    action = add("verify", run_verify, "read all files of models and compare their SHA-256")
    action.add_argument("models", metavar="NAME", nargs="*", help="default: all on this computer")
    action = add("remove", run_remove, "delete a downloaded or tuned model from this computer")
    action.add_argument("model", metavar="NAME", help=f"{NAME_HELP}; all revisions without one")
    action = add("promote", run_promote, "use a tuned model in place of its parent")
    action.add_argument(
        "model", metavar="NAME|DIR", help="a tuned model, or the folder of a finished candidate"
    )
    action.add_argument(
        "--despite-gate", action="store_true", help="promote it even if it did not pass the gate"
    )
    action = add("rollback", run_rollback, "undo the last promotion")
    action.add_argument(
        "base",
        metavar="BASE",
        nargs="?",
        default=DEFAULT_MODEL,
        help="the base model (default: %(default)s)",
    )


def run_list(args: argparse.Namespace) -> int:
    """List all models and where they are."""
    from napari_flomo.models import list_models

    states = list_models()
    if args.json:
        print_json({"models": states})
        return 0
    width = max((len(state.name) for state in states), default=0)
    for state in states:
        size = "" if state.size is None else _bytes(state.size)
        standing = ", ".join(filter(None, (state.place, state.state, state.title)))
        origin = f" (from {state.parent})" if state.parent else ""
        line = f"{state.name:{width}}  {standing:17}  {size:>8}  {state.summary}{origin}"
        print(line.rstrip())
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Show the card of a model."""
    from napari_flomo.models import info

    state, card = info(args.model)
    if args.json:
        print_json({"model": state, "card": card.to_dict(), "card_hash": card.card_hash})
    else:
        print("\n".join(_card_lines(state, card)))
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Download a model, with a progress bar."""
    from napari_flomo.models import load_card, pull

    with download_progress(args.quiet) as progress:
        folder = pull(args.model, progress)
    card = load_card(folder)
    if args.json:
        print_json({"name": card.name, "folder": folder, "sha256": card.sha256})
    elif not args.quiet:
        print(f"{card.name} is verified and stored in {folder}")
    return 0


def run_push(args: argparse.Namespace) -> int:
    """Publish a model and print how to pin it."""
    from napari_flomo.models import push

    published = push(args.model, args.repo, args.private, message=args.message)
    if args.json:
        print_json({"url": published.url, "entry": published.entry})
    else:
        revision = published.entry["revision"]
        print(f"Published: {published.url}")
        print(f"Use it with: --model hf:{args.repo}@{revision}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Verify models; the exit code is 2 if a file is wrong."""
    from napari_flomo.models import verify

    results = verify(args.models or None)
    if args.json:
        print_json({"models": results})
    else:
        for result in results:
            print(f"{result.name}: {result.problem or 'verified'}")
    return 2 if any(result.problem for result in results) else 0


def run_remove(args: argparse.Namespace) -> int:
    """Delete a downloaded or tuned model."""
    from napari_flomo.models import remove

    freed = remove(args.model)
    if args.json:
        print_json({"name": args.model, "freed": freed})
    else:
        print(f"Removed {args.model}, {_bytes(freed)}")
    return 0


def run_promote(args: argparse.Namespace) -> int:
    """Use a tuned model in place of its parent."""
    from napari_flomo.models import install_candidate, promote
    from napari_flomo.session import promoted_text

    given = Path(args.model).expanduser()
    name = install_candidate(given) if given.is_dir() else args.model
    base = promote(name, despite_gate=args.despite_gate)
    if args.json:
        print_json({"base": base, "in_use": name})
    else:
        print(f"{promoted_text(name)} Undo this with: flomo models rollback {base}")
    return 0


def run_rollback(args: argparse.Namespace) -> int:
    """Undo the last promotion."""
    from napari_flomo.models import rollback

    name = rollback(args.base)
    if args.json:
        print_json({"base": args.base, "in_use": name})
    else:
        print(f"{name} is in use again.")
    return 0


def _card_lines(state: ModelState, card: ModelCard) -> list[str]:
    """Return the lines of a card for display."""
    from napari_flomo.models import flatten

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
        *(f"    {key}: {value}" for key, value in flatten(card.lineage or {})),
        *_gate_lines(card),
        f"  source: {state.source or 'not from the Hub'}",
        f"  SHA-256 of the weights: {card.sha256}",
    ]


def _gate_lines(card: ModelCard) -> list[str]:
    """Return the lines on the gate for a tuned model."""
    if card.gate is None:
        return [] if card.parent is None else ["  gate: not run yet"]
    lines = [f"  gate: {card.gate.get('verdict')}"]
    return lines + [f"    {reason}" for reason in card.gate.get("reasons", ())]


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
