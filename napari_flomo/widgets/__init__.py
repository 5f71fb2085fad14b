"""The napari plugin. The only package that imports napari and Qt.

``napari.yaml`` names what napari calls here; nothing of it is imported before it is called. The
state is in `napari_flomo.session`; this package shows it and passes clicks and strokes on.
"""

from __future__ import annotations
