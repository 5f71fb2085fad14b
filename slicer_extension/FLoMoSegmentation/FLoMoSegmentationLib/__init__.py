"""What the Slicer module FLoMo Segmentation is made of.

Nothing here imports ``napari_flomo`` before it is needed: the module opens, and offers to install
it, in a Slicer that has never heard of it.
"""
