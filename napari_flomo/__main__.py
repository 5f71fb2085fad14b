"""``python -m napari_flomo`` is the ``flomo`` command."""

from __future__ import annotations

import sys

from napari_flomo.cli import main

if __name__ == "__main__":
    sys.exit(main())
