"""What must work in every viewer with a cine of three frames: end diastole and end systole."""

from __future__ import annotations

import numpy as np
import pytest
from viewer_story import VENTRICLE, Stage

from napari_flomo.errors import FlomoError
from napari_flomo.session import OpenImage, QueueFilter, Scope, SliceIndex


def tell_of_phases(stage: Stage) -> None:
    """Segment one frame, then all; correct end systole; pin another, undo, let it choose; sort."""
    presenter, adapter = stage.presenter, stage.adapter
    stage.segment()
    (image,) = stage.session.images
    key = image.key
    with pytest.raises(FlomoError, match="not known"):
        presenter.go_to_phase(key, "ES")
    presenter.show_contours(True)
    assert stage.contours()
    presenter.segment(key, "toy", "cpu", Scope())
    stage.wait(lambda: stage.session.running is None)
    chosen = image.phases
    assert not chosen.pinned
    assert stage.contours()

    presenter.go_to(key, SliceIndex(0, 1))
    presenter.go_to_phase(key, "ES")
    systole = chosen.left.es
    assert adapter.position(key) == SliceIndex(systole, 1), "the slice stays"
    before = stage.session.measures(key).left
    where = np.zeros(image.volume.spatial_shape, bool)
    where[1:] = True
    stage.paint(where, VENTRICLE)
    assert image.phases == chosen, "although another frame is the smallest now"
    after = stage.session.measures(key).left
    assert after.esv_ml > before.edv_ml
    assert after.edv_ml == before.edv_ml

    other = next(frame for frame in range(3) if frame not in chosen.frames)
    presenter.go_to(key, SliceIndex(other, 1))
    presenter.pin_phase(key, "ES")
    assert (image.phases.left.es, image.phases.right.es) == (other, other)
    stage.answer("Undo")
    assert image.phases == chosen
    presenter.pin_phase(key, "ED", ["left"])
    presenter.automatic_phases(key)
    assert image.phases == chosen
    tell_of_the_list(stage, image)


def tell_of_the_list(stage: Stage, image: OpenImage) -> None:
    """Filter and sort the list; Next follows it."""
    assert {index.frame for index in stage.listed()} == set(image.phases.frames)
    stage.session.set_queue(image.key, QueueFilter("all"))
    assert stage.listed() == image.review.order
    stage.session.set_queue(image.key, image.queue.sorted_by("slice").sorted_by("slice"))
    last = image.volume.n_slices - 1
    assert stage.listed()[:3] == tuple(SliceIndex(frame, last) for frame in (2, 1, 0))
    stage.presenter.go_to(image.key, SliceIndex(2, last))
    assert stage.presenter.next(image.key) == SliceIndex(1, last)
