"""``flomo data``: prepare a data set, pack it into one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flomo_training.photos import COLLECTIONS, prepare_photos
from napari_flomo.errors import FlomoError


def run_prepare(args: argparse.Namespace) -> int:
    """Serve ``flomo data prepare``."""
    source, out = Path(args.source), Path(args.out)
    if not source.is_dir():
        raise FlomoError(f"There is no folder {source}; check the path.")
    if source.resolve() == out.resolve():
        raise FlomoError("The data would overwrite itself; choose an --out other than --source.")
    if args.name in COLLECTIONS:
        prepare_photos(args.name, source, out)
    print(f"The data is ready in {out}.", file=sys.stderr)
    return 0
