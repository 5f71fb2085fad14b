"""The colours in which viewers show structures: safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence

from napari_flomo.measures import HeartCodes
from napari_flomo.models import Label
from napari_flomo.session.review import SliceState

RIGHT_VENTRICLE, MYOCARDIUM, LEFT_VENTRICLE = "#0072b2", "#f0e442", "#d55e00"
"""Blue, yellow and vermilion of Okabe and Ito (Color Universal Design, 2008). The tests measure how
far apart they are for readers with deuteranopia and protanopia, also over a grey image."""

STATE_COLOURS = {
    SliceState.OPEN: "#e69f00",
    SliceState.SEEN: "#56b4e9",
    SliceState.ACCEPTED: "#009e73",
}
"""Orange, sky blue and bluish green of the same scheme, for bars and texts of the review."""


def structure_colours(labels: Sequence[Label]) -> dict[int, str]:
    """Return the colour of each label by its code, as ``"#rrggbb"``; the background has none.

    Parts of the heart have the same colours in all models; other structures those of their card.
    """
    colours = {label.code: label.colour for label in labels if label.code}
    codes = HeartCodes.of(labels)
    if codes is not None:
        parts = (
            (codes.right_ventricle, RIGHT_VENTRICLE),
            (codes.myocardium, MYOCARDIUM),
            (codes.left_ventricle, LEFT_VENTRICLE),
        )
        colours |= {code: colour for code, colour in parts if code is not None}
    return colours
