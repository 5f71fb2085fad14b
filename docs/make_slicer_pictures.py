"""Draw the pictures of docs/slicer.md: slice views of the sample, rendered by Slicer's classes.

Run ``python docs/make_slicer_pictures.py`` with slicer-core installed; no display is needed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "pictures" / "slicer"
SAMPLE = HERE.parent / "napari_flomo" / "samples" / "sunnybrook_ed.nii.gz"
FIELD_MM = 190
MIDDLE = 4

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
sys.path[:0] = [
    str(HERE.parent / "tests" / "slicer"),
    str(HERE.parent / "slicer_extension" / "FLoMoSegmentation"),
]


def main() -> None:
    """Segment the sample and write the pictures."""
    import shim
    from FLoMoSegmentationLib import slice_views
    from FLoMoSegmentationLib.logic import Logic
    from FLoMoSegmentationLib.worker_process import CallQueue, make_worker
    from helpers import finish
    from rendering import SliceView

    from napari_flomo import DEFAULT_MODEL
    from napari_flomo.session import SliceIndex

    program = shim.program()
    node = program.load_volume(SAMPLE)
    view = SliceView(program)
    logic = Logic(make_worker(), CallQueue())
    logic.segment(node, DEFAULT_MODEL, "cpu", "all")
    finish(logic, 600)
    scene_image = logic.images.of(node)
    slice_views.show_image(scene_image.nodes)
    view.zoom(FIELD_MM)
    OUT.mkdir(parents=True, exist_ok=True)
    logic.presenter.go_to(scene_image.key, SliceIndex(0, MIDDLE))
    view.save(OUT / "slice-view.png")
    image = logic.session.image(scene_image.key)
    found = image.labels.data.any(axis=(1, 2))
    logic.presenter.go_to(
        scene_image.key, next(place for place in image.review.order if found[place.slice])
    )
    slice_views.show_uncertainty(scene_image.results.uncertainty, 0.6)
    view.save(OUT / "uncertainty.png")
    logic.compute_map(scene_image, "variance", "cpu")
    finish(logic, 600)
    view.save(OUT / "variance.png")
    logic.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["FLOMO_HOME"] = home
        main()
