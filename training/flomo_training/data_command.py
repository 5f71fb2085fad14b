"""``flomo data``: prepare a data set, or pack it into one file."""

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
    """Run ``flomo data prepare``."""
    source, out = Path(args.source), Path(args.out)
    if not source.is_dir():
        raise FlomoError(f"The folder {source} does not exist; check the path.")
    if source.resolve() == out.resolve():
        raise FlomoError("--out must differ from --source; choose another folder.")
    if args.name in COLLECTIONS:
        if args.published_split:
            raise FlomoError("--published-split is available for acdc only; omit it.")
        prepare_photos(args.name, source, out)
    else:
        prepare_acdc(source, out, published=args.published_split)
    print(f"Prepared data: {out}", file=sys.stderr)
    return 0


def run_pack(args: argparse.Namespace) -> int:
    """Run ``flomo data pack``."""
    out = Path(args.out)
    card = read_recipe(args.recipe).model
    check_writable(out)
    slices = write_pack(Path(args.source), card, out)
    print(f"{out}: {slices} slices, {out.stat().st_size / 2**20:.1f} MiB", file=sys.stderr)
    return 0
