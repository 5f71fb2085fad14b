"""Draw the icons of the extension: a short-axis slice in the colours of the labels.

Run ``python slicer_extension/draw_icon.py`` to write the icons of the module and the catalogue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import image

HERE = Path(__file__).parent
BLUE, GREEN, RED, GROUND = (0x3B, 0x82, 0xF6), (0x22, 0xC5, 0x5E), (0xEF, 0x44, 0x44), (24, 24, 27)
SMOOTH = 4


def draw(size: int) -> np.ndarray:
    """Return the icon as ``(size, size, 4)``, red, green, blue, alpha, 0 to 255."""
    length = size * SMOOTH
    y, x = (np.mgrid[:length, :length] + 0.5) / length
    pixels = np.zeros((length, length, 4))
    corner = np.maximum(np.abs(x - 0.5), 0.36) - 0.36, np.maximum(np.abs(y - 0.5), 0.36) - 0.36
    pixels[np.hypot(*corner) < 0.14] = (*GROUND, 255)
    right = (np.hypot((x - 0.34) / 0.26, (y - 0.5) / 0.3) < 1) & (x < 0.62)
    distance = np.hypot(x - 0.58, y - 0.52)
    for where, colour in ((right, BLUE), (distance < 0.3, GREEN), (distance < 0.19, RED)):
        pixels[where] = (*colour, 255)
    small = pixels.reshape(size, SMOOTH, size, SMOOTH, 4).mean((1, 3))
    return small.round().astype(np.uint8)


def main() -> None:
    """Write both icons."""
    image.imsave(
        HERE / "FLoMoSegmentation" / "Resources" / "Icons" / "FLoMoSegmentation.png", draw(64)
    )
    image.imsave(HERE / "FLoMoSegmentation.png", draw(128))


if __name__ == "__main__":
    main()
