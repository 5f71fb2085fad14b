"""The panels of the napari plugin."""
