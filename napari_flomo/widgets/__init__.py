"""The napari side: open, segment, doubt, correct, save. The only room that knows napari and Qt.

``napari.yaml`` names what napari calls here; nothing of it is imported before it is called. State
lives in `napari_flomo.session`; this room shows it and passes clicks and strokes on.
"""

from __future__ import annotations
