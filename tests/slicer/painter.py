"""Segment a heart and paint on it until killed; run by `test_restore` in a child process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import shim
import slicer
from FLoMoSegmentationLib import slice_views
from FLoMoSegmentationLib.logic import Logic
from FLoMoSegmentationLib.worker_process import CallQueue
from helpers import add_volume, oblique_heart, paint, run

from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.session import SliceIndex

child, progress = sys.argv[1:]
shim.program().slice_view("Red")
logic = Logic(Worker(python_spawner(arguments=[child])), CallQueue())
volume = oblique_heart()
node = add_volume(volume)
scene_image = run(logic, node)
slice_views.align(scene_image.nodes)
where = np.zeros(volume.data.shape, bool)
for number in range(1000):
    where[1, number % 30, number // 30] = True
    paint(scene_image.segmentation, 2, where, node)
    if number == 3:
        segments = scene_image.segmentation.GetSegmentation()
        segment_logic = slicer.vtkSlicerSegmentationsModuleLogic
        segment_logic.SetSegmentStatus(segments.GetSegment("flomo_3"), segment_logic.Completed)
    logic.poll()
    if number == 5:
        slice_views.jump(scene_image.nodes, SliceIndex(0, 2))
        logic.presenter.accept(scene_image.key)
    image = logic.session.image(scene_image.key)
    if image.autosave is not None and image.autosave.flush():
        np.save(progress + "-.npy", image.labels.data)
        Path(progress + "-.npy").replace(progress + ".npy")
        Path(progress).write_text(str(number))
