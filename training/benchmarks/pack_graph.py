"""Write the graph of the bundled model, which runs without PyTorch.

python training/benchmarks/pack_graph.py [MODEL_FOLDER]

To be run whenever the weights change. The graph is compared with the network before it is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import locate
from napari_flomo.segmentation import write_graph


def main() -> None:
    """Write the graph and the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=locate(DEFAULT_MODEL))
    card = write_graph(parser.parse_args().folder)
    print(f"{card.name}: {card.graph}")


if __name__ == "__main__":
    main()
