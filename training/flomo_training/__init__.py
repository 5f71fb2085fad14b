"""Train, tune and measure FLoMo-Net; installs with ``napari-flomo``, runs with ``[train]``."""
