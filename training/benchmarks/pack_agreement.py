"""Write limits of agreement on a test set into the card of the bundled model.

python training/benchmarks/pack_agreement.py CASES.csv --data "the official ACDC test set"

The table of cases is of ``flomo evaluate``, for example
``docs/benchmarks/official_test/flomo-b0-acdc-plain.csv``. To be run whenever the weights change.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from flomo_training.metrics_table import read_metrics
from flomo_training.summary import figures
from napari_flomo import DEFAULT_MODEL
from napari_flomo.files import atomic_write
from napari_flomo.models import card_text, load_card, locate


def agreement(cases: Path, data: str, views: str) -> dict[str, Any]:
    """Return the limits of agreement of a table of cases, with their origin."""
    summary = figures(read_metrics(cases))
    return {
        "data": data,
        "views": views,
        "patients": summary["patients"],
        "ventricles": summary["ventricles"],
    }


def main() -> None:
    """Write the limits into the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--data", required=True, help="test set, as users read it")
    parser.add_argument("--views", default="plain", choices=("plain", "mirrored"))
    parser.add_argument("--folder", type=Path, default=locate(DEFAULT_MODEL))
    options = parser.parse_args()
    card = load_card(options.folder)
    found = agreement(options.cases, options.data, options.views)
    metrics = {**card.metrics, "agreement": found}
    with atomic_write(options.folder / "card.json") as path:
        path.write_text(card_text(replace(card, metrics=metrics)), "utf-8", newline="\n")
    print(f"{card.name}: limits of agreement of {found['patients']} patients")


if __name__ == "__main__":
    main()
