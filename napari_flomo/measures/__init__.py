"""What a segmentation means in numbers: millilitres of each structure."""

from __future__ import annotations

from napari_flomo.measures.structures import StructureVolume, structure_volumes

__all__ = ["StructureVolume", "structure_volumes"]
