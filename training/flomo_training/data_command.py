"""``flomo data``: prepare a data set, pack it into one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flomo_training.acdc import prepare_acdc
from flomo_training.pack import write_pack
from flomo_training.photos import COLLECTIONS, prepare_photos
from flomo_training.recipe import read_recipe
from napari_flomo.errors import FlomoError
from napari_flomo.files import check_writable


def run_prepare(args: argparse.Namespace) -> int:
    """Serve ``flomo data prepare``."""
    source, out = Path(args.source), Path(args.out)
    if not source.is_dir():
        raise FlomoError(f"There is no folder {source}; check the path.")
    if source.resolve() == out.resolve():
        raise FlomoError("The data would overwrite itself; choose an --out other than --source.")
    if args.name in COLLECTIONS:
        if args.published_split:
            raise FlomoError("--published-split is known for acdc only; leave it out.")
        prepare_photos(args.name, source, out)
    else:
        prepare_acdc(source, out, published=args.published_split)
    print(f"The data is ready in {out}.", file=sys.stderr)
    return 0


def run_pack(args: argparse.Namespace) -> int:
    """Serve ``flomo data pack``."""
    out = Path(args.out)
    card = read_recipe(args.recipe).model
    check_writable(out)
    slices = write_pack(Path(args.source), card, out)
    print(f"{out} holds {slices} slices in {out.stat().st_size / 2**20:.1f} MiB.", file=sys.stderr)
    return 0
