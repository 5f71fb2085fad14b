"""Render a slice view off-screen with Slicer's slice logic and displayable managers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy


class SliceView:
    """One slice view, off the screen.

    Parameters
    ----------
    program
        From `shim.program`.
    name
        Of the view, such as ``"Red"``.
    size
        Width and height in pixels.
    """

    def __init__(self, program: Any, name: str = "Red", size: tuple[int, int] = (700, 700)) -> None:
        self.node, self.composite = program.slice_view(name)
        self.size = size
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(program.application_logic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        if program.application_logic.GetSliceLogics() is None:
            program.application_logic.SetSliceLogics(vtk.vtkCollection())
        program.application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetSliceNode(self.node)
        self.logic.SetSliceCompositeNode(self.composite)
        self.logic.ResizeSliceNode(*size)
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetNumberOfLayers(2)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.behind, self.front = vtk.vtkRenderer(), vtk.vtkRenderer()
        self.front.SetLayer(1)
        self.window.AddRenderer(self.behind)
        self.window.AddRenderer(self.front)
        self.picture = vtk.vtkImageActor()
        self.picture.InterpolateOff()
        self.behind.AddViewProp(self.picture)
        self._look_straight()
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(program.application_logic)
        manager = "vtkMRMLSegmentationsDisplayableManager2D"
        if not factory.IsDisplayableManagerRegistered(manager):
            factory.RegisterDisplayableManager(manager)
        self.managers = factory.InstantiateDisplayableManagers(self.front)
        self.managers.SetMRMLDisplayableNode(self.node)

    def zoom(self, field_mm: float) -> None:
        """Set the field of view around the centre to a square, in mm."""
        self.node.SetFieldOfView(field_mm, field_mm, self.node.GetFieldOfView()[2])
        self.node.UpdateMatrices()

    def state(self) -> str:
        """Describe the position of the view, for messages of failed tests."""
        node = self.node
        middle = [round(node.GetSliceToRAS().GetElement(i, 3), 1) for i in range(3)]
        return (
            f"{node.GetLayoutName()} at {middle} mm, {node.GetDimensions()} pixels, "
            f"{node.GetFieldOfView()} mm, origin {node.GetXYZOrigin()}"
        )

    def draw(self) -> NDArray[np.uint8]:
        """Return the view as ``(rows, columns, 3)``, red, green, blue."""
        self.logic.UpdatePipeline()  # makes the connection, once there is an image to show
        self.picture.GetMapper().SetInputConnection(self.logic.GetImageDataConnection())
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
        return pixels[::-1, :, :3].copy()

    def save(self, path: Path) -> NDArray[np.uint8]:
        """Write the view as PNG and return it."""
        from PIL import Image

        pixels = self.draw()
        Image.fromarray(pixels).save(path, optimize=True)
        return pixels

    def close(self) -> None:
        """Let go of the window."""
        self.managers.SetMRMLDisplayableNode(None)
        self.window.Finalize()

    def _look_straight(self) -> None:
        """One pixel of the slice on one pixel of the window."""
        width, height = self.size
        camera = self.behind.GetActiveCamera()
        camera.ParallelProjectionOn()
        middle = ((width - 1) / 2, (height - 1) / 2)
        camera.SetFocalPoint(*middle, 0)
        camera.SetPosition(*middle, 100)
        camera.SetParallelScale(height / 2)
        self.behind.SetBackground(0, 0, 0)
