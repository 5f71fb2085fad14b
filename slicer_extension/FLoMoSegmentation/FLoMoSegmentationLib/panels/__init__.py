"""The panels of the Slicer module."""
