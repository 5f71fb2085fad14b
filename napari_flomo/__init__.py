"""Segment medical images with FLoMo-Net, see where it is uncertain, correct it, and teach it.

Importing this package is cheap: torch, napari and Qt are loaded only by the rooms that use them.
"""

from __future__ import annotations

__version__ = "0.1.0"

DEFAULT_MODEL = "flomo-b0-acdc"
"""What segments where no model is named; it comes with the package."""
