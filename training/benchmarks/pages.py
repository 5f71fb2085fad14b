"""Write all benchmark pages again whose measurements are kept in JSON or CSV files beside them.

python training/benchmarks/pages.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import accuracy
import correction_loop
import correction_loop_page
import networks
import networks_page
import peers
import speed_page
import uncertainty
import uncertainty_page
from accuracy_test_set import test_set_section
from correction_results import read_table
from page_writer import DOCS, write_page

from flomo_training.results import read_results


def _accuracy() -> str:
    published = accuracy.read_published(DOCS / accuracy.PUBLISHED)
    return accuracy.page(read_results(DOCS), published, test_set_section(DOCS))


def _read(name: str) -> Any:
    return json.loads((DOCS / name).read_text(encoding="utf-8"))


PAGES: Mapping[str, Callable[[], str]] = {
    "accuracy": _accuracy,
    "correction_loop": lambda: correction_loop_page.page(read_table(correction_loop.TABLE)),
    "networks": lambda: networks_page.page(networks.read_comparisons(DOCS / networks.FIGURES)),
    "peers": lambda: peers.page(_read("peers.json")),
    "speed": lambda: speed_page.page(_read("speed.json")),
    "uncertainty": lambda: uncertainty_page.page(_read(uncertainty.FIGURES), uncertainty.PICTURES),
}
"""Returns the text of a page, by the name of its file."""


def main() -> None:
    """Write all pages."""
    for name, text in PAGES.items():
        write_page(DOCS / f"{name}.md", text())


if __name__ == "__main__":
    main()
