"""Implementation of the Slicer module FLoMo Segmentation.

Modules that are imported before ``napari_flomo`` is installed must not import it at module level.
"""
