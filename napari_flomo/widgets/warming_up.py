"""Load what napari loads with the first layers of a process."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from napari_flomo.widgets.results import label_colours


def warm_up() -> None:
    """Create layers that are not shown, so that the first ones that are do not take seconds.

    With the first layer of a process, napari imports pandas and reads units, and with the first
    labels, it compiles their colours and vispy draws dash patterns. Uses no Qt; may be called from
    any thread.
    """
    from napari.layers import Image, Labels

    pixels = np.zeros((2, 2), np.uint8)
    Image(pixels)
    Labels(pixels, colormap=label_colours(()))
    with suppress(ImportError):
        from vispy.visuals.line.dash_atlas import DashAtlas

        DashAtlas()  # vispy keeps the patterns
