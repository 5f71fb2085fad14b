"""Cardiac MRI segmentation with uncertainty, review and fine-tuning for napari and 3D Slicer.

Importing this package is cheap: torch, napari and Qt are loaded only by the packages that use them.
"""

from __future__ import annotations

__version__ = "0.1.0"

DEFAULT_MODEL = "flomo-b0-acdc"
"""The model that is used when none is named; it is included in the package."""
