"""Export and import of corrections: nnU-Net, BIDS, MONAI, other stores."""

from __future__ import annotations

from napari_flomo.corrections.exchange.cases import Selection
from napari_flomo.corrections.exchange.exporting import FORMATS, Exported, export
from napari_flomo.corrections.exchange.importing import Imported, find_source, import_folder

__all__ = ["FORMATS", "Exported", "Imported", "Selection", "export", "find_source", "import_folder"]
