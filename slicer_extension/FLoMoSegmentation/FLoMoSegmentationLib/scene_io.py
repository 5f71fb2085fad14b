"""A volume as a new image of the scene: a node, or a sequence that is played for a cine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib.axes import keep_order
from FLoMoSegmentationLib.images import matrix_of, source_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from FLoMoSegmentationLib.images import Source
    from napari_flomo.volumes import Volume


def add_image(volume: Volume, name: str) -> Any:
    """Put a volume into the scene, on its very grid.

    Parameters
    ----------
    volume
        ``([frames,] slices, rows, columns[, channels])``.
    name
        What the user reads.

    Returns
    -------
    vtkMRMLScalarVolumeNode or vtkMRMLVectorVolumeNode
        Of a cine, the frame on the screen.
    """
    scene = slicer.mrmlScene
    name = scene.GenerateUniqueName(name)
    colour = "channels" in volume.axes
    kind = "vtkMRMLVectorVolumeNode" if colour else "vtkMRMLScalarVolumeNode"
    if "frames" in volume.axes:
        node = _play(volume, kind, name)
    else:
        node = scene.AddNewNodeByClass(kind, name)
        _fill(node, volume.data, volume)
    node.CreateDefaultDisplayNodes()
    keep_order(source_of(node))
    return node


def remove_image(source: Source) -> None:
    """Take an image out of the scene again, with all its frames."""
    for node in (source.browser, source.sequence, source.node):
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)


def _play(volume: Volume, kind: str, name: str) -> Any:
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} sequence")
    sequence.SetIndexName("frame")
    sequence.SetIndexUnit("")
    sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
    frame = scene.CreateNodeByClass(kind)
    frame.UnRegister(None)
    frame.SetName(name)
    for number, data in enumerate(volume.data):
        _fill(frame, data, volume)
        sequence.SetDataNodeAtValue(frame, str(number))  # keeps a copy
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.SetOverwriteProxyName(sequence, False)
    browser.SetSelectedItemNumber(0)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    node = browser.GetProxyNode(sequence)
    node.SetName(name)
    return node


def _fill(node: Any, data: NDArray[np.generic], volume: Volume) -> None:
    node.SetIJKToRASMatrix(matrix_of(volume.geometry.affine_ras()))
    slicer.util.updateVolumeFromArray(node, data)
