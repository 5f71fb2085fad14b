"""``flomo corrections``: list, verify, compare, export and import a store of corrections."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from napari_flomo.commands.options import add_actions
from napari_flomo.commands.report import print_json

if TYPE_CHECKING:
    from napari_flomo.corrections import CorrectionStore, Record

EXIT_NOTHING = 2
"""Exit code of an import that added nothing and skipped something."""

FORMATS = ("nnunet", "bids", "monai")
STATES = ("draft", "accepted", "rejected")

EPILOG = """examples:
  flomo corrections list
  flomo corrections verify --store /shared/corrections
  flomo corrections export Dataset501_Corrections --format nnunet
  flomo corrections import nnUNet_raw/Dataset027_ACDC --patient 'patient[0-9]+'
  flomo corrections agreement --readers ab cd --out agreement

The store is in the user's data folder (or FLOMO_HOME) unless --store names another one.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo corrections``."""
    text = "list, check, export and import corrected labels"
    add_action = add_actions(subparsers, "corrections", text, EPILOG)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        action = add_action(name, run, text)
        action.add_argument("--store", metavar="DIR", help="folder of the store")
        return action

    add("list", run_list, "list the corrections of a store")
    action = add("show", run_show, "show one correction")
    action.add_argument("id", metavar="ID", help="as listed")
    action.add_argument("--revision", type=int, metavar="N", help="default: the latest")
    add("verify", run_verify, "read all files and compare their hashes")
    action = add("remove", run_remove, "delete a correction and leave a tombstone")
    action.add_argument("id", metavar="ID", help="as listed")
    action = add("export", run_export, "write corrections for nnU-Net, BIDS or MONAI")
    action.add_argument("folder", metavar="DIR", help="destination, new or empty")
    action.add_argument("--format", choices=FORMATS, required=True, help="format of the folder")
    action.add_argument(
        "--state",
        action="append",
        choices=STATES,
        help="state of the corrections, may be repeated (default: accepted)",
    )
    action.add_argument("--model", metavar="NAME", help="only corrections of this model")
    action = add("import", run_import, "import another store, or images with labels")
    action.add_argument(
        "folder", metavar="DIR", help="a store, or a folder with imagesTr and labelsTr"
    )
    action.add_argument(
        "--reader",
        default="import",
        help="alias of the reader who drew the labels (default: %(default)s)",
    )
    action.add_argument(
        "--patient",
        metavar="REGEX",
        help="regular expression that finds the patient in a file name",
    )
    action = add("agreement", run_agreement, "compare the corrections of two readers")
    action.add_argument(
        "--readers", nargs=2, metavar="ALIAS", help="first and second (default: the only two)"
    )
    action.add_argument(
        "--out", metavar="DIR", help="write page, Bland-Altman plots and tables; new or empty"
    )
    action.add_argument(
        "--show-aliases",
        action="store_true",
        help="write the aliases instead of reader A and reader B",
    )


def run_list(args: argparse.Namespace) -> int:
    """List the corrections of a store."""
    store = _open(args)
    left_out: list[str] = []
    records = store.records(left_out.append)
    if args.json:
        print_json({"store": store.folder, "corrections": records, "left_out": left_out})
        return 0
    rows = [("id", "revision", "state", "model", "seen", "changed", "reader")]
    for record in records:
        model = "-" if record.model is None else record.model.name
        counts = (str(len(record.seen)), str(len(record.changed)))
        rows.append((record.id, str(record.revision), record.state, model, *counts, record.reader))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if records else []:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    if not records:
        print(f"There are no corrections in {store.folder}.")
    _note(left_out)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show one correction."""
    store = _open(args)
    record = store.record(args.id, args.revision)
    if args.json:
        print_json({"correction": record, "revisions": store.revisions(args.id)})
    else:
        print("\n".join(_lines(store, record)))
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Compare all files with their hashes; the exit code is 2 if something is wrong."""
    store = _open(args)
    findings = store.verify()
    if args.json:
        print_json({"store": store.folder, "findings": findings})
    elif findings:
        for finding in findings:
            print(f"{finding.kind}: {finding.sentence}")
    else:
        print(f"{len(store.records())} corrections in {store.folder}: all files are intact")
    return 2 if findings else 0


def run_remove(args: argparse.Namespace) -> int:
    """Delete a correction."""
    _open(args).remove(args.id)
    if args.json:
        print_json({"removed": args.id})
    else:
        print(f"Removed {args.id}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write corrections for another tool."""
    from napari_flomo.corrections.exchange import Selection, export

    states = tuple(args.state or ["accepted"])
    done = export(_open(args), args.folder, args.format, Selection(states, args.model))
    if args.json:
        print_json({"export": done})
    else:
        _note(done.skipped)
        print(f"Wrote {done.cases} label files to {done.folder}")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Import another store or data set."""
    from napari_flomo.corrections.exchange import find_source, import_folder

    find_source(args.folder)  # or no store is made
    store = _open(args, create=True)
    done = import_folder(store, args.folder, reader=args.reader, patient=args.patient)
    if args.json:
        print_json({"store": store.folder, "import": done})
    else:
        _note(done.skipped)
        print(f"Added {done.added}; {done.known} were known already ({store.folder})")
    if done.added or not done.skipped:
        return 0
    if args.json:
        _note(done.skipped)
    _note([f"Nothing was imported: {len(done.skipped)} left out, {done.known} known already."])
    return EXIT_NOTHING


def run_agreement(args: argparse.Namespace) -> int:
    """Compare two readers."""
    from pathlib import Path

    from napari_flomo.jobs.tasks import import_training
    from napari_flomo.progress import progress_bar

    readers = import_training("flomo_training.readers")
    with progress_bar("image", quiet=args.json) as progress:
        found = readers.compare_readers(_open(args), args.readers, progress)
    names = found.aliases if args.show_aliases else readers.NAMES
    if args.out:
        readers.write_agreement(found, Path(args.out), names)
    if args.json:
        print_json(readers.agreement_dict(found, names))
        return 0
    if names != found.aliases:
        called = (f"{alias} is {name}" for alias, name in zip(found.aliases, names, strict=True))
        print(", ".join(called))
    print(readers.agreement_text(found, names))
    _note(found.left_out)
    if args.out:
        print(f"Wrote {Path(args.out) / readers.PAGE}")
    return 0


def _open(args: argparse.Namespace, create: bool = False) -> CorrectionStore:
    from napari_flomo.corrections import CorrectionStore, default_store

    return CorrectionStore.open(args.store or default_store(), create=create)


def _lines(store: CorrectionStore, record: Record) -> list[str]:
    """Return a record as lines of text."""
    frames, slices, rows, columns = record.image.shape
    model = record.model
    kept = "copied into the store" if record.image.copy else "only its hash is kept"
    lines = [
        f"{record.id}, revision {record.revision} of {store.revisions(record.id)[-1]}",
        f"  state: {record.state}, by {record.reader} in {record.year}, {record.seconds:g} seconds",
        f"  model: {'none' if model is None else f'{model.name} (card {model.card_sha256})'}",
        f"  image: {frames} x {slices} x {rows} x {columns} frames, slices, rows, columns; {kept}",
        f"  SHA-256 of the image: {record.image.sha256}",
        f"  group: {record.group}",
        f"  structures: {', '.join(f'{code} {name}' for code, name in record.codes.items())}",
        f"  seen (frame, slice): {_places(record.seen)}",
        f"  changed (frame, slice): {_places(record.changed)}",
        f"  written with: {', '.join(f'{name} {v}' for name, v in record.software.items())}",
    ]
    return lines + [f"  file: {store.folder / file.file}" for file in record.files]


def _places(places: Iterable[tuple[int, ...]]) -> str:
    return " ".join(f"({frame}, {index})" for frame, index in places) or "none"


def _note(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(f"flomo: {sentence}", file=sys.stderr)
