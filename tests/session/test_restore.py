"""Restore labels, locks and review after a crash."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from napari_flomo.corrections import Journal, Stroke, replay
from napari_flomo.errors import FlomoError
from napari_flomo.session import Scope, Session, SliceIndex, SliceState
from napari_flomo.session.provenance import provenance_of
from napari_flomo.session.recovery import prepare
from napari_flomo.session.thumbnail import PIXELS
from napari_flomo.session.unsaved import unsaved_work
from napari_flomo.session.unsaved_messages import unsaved_lines
from napari_flomo.volumes import Volume

Make = Callable[..., Volume]


def test_restore(session: Session, make_cine: Make, make_heart: Make, tmp_path: Path) -> None:
    volume = make_cine()
    key = session.add(volume, "cine")
    session.segment(key, "toy", scope=Scope(frames=(0, 2))).result(60)
    image = session.image(key)
    session.next_slice(key)
    session.accept(key)
    session.lock(key, 2)
    order = image.review.order
    journal = Journal.create(
        volume,
        image.labels.with_data(image.labels.data.copy()),
        about=provenance_of(image),
        locked=image.locked,
        accepted=[place for place in order if image.review.state(place) is SliceState.ACCEPTED],
        parent=tmp_path,
    )
    at = np.ravel_multi_index(([2, 2], [1, 1], [5, 5], [6, 7]), image.labels.data.shape)
    old, new = image.labels.data.reshape(-1)[at], np.array([3, 3])
    journal.record(Stroke.of("stroke", indices=at, old=old, new=new, time=1.0))
    session.edit(key, at, old, new)
    before = image.labels.data.copy(), session.measures(key), image.review.to_dict()
    journal._lock.release()  # the crash

    found = replay(journal.folder)
    again = session.add(found.image, "restored")
    session.restore(again, prepare(found, session.image(again)))
    back = session.image(again)
    assert np.array_equal(back.labels.data, before[0])
    assert session.measures(again) == before[1]
    assert back.locked == {2}
    assert back.review.order == order
    assert back.review.state(order[0]) is SliceState.ACCEPTED
    assert back.review.edits(SliceIndex(2, 1)) == (old != new).sum()
    assert back.segmentation.card == image.segmentation.card  # no model "toy" is installed
    assert np.array_equal(back.segmentation.labels.data, image.segmentation.labels.data)
    assert back.hash == image.hash

    session.segment(again, "toy").result(60)  # another run works
    assert back.segmentation.uncertainty["entropy"].data.any()

    stranger = session.add(make_heart(), "stranger")
    with pytest.raises(FlomoError, match="belong to another image than stranger"):
        prepare(found, session.image(stranger))
    with pytest.raises(FlomoError, match="segment it first"):
        provenance_of(session.image(stranger))


def test_all_leftovers_are_listed_with_a_picture(
    session: Session, make_cine: Make, make_heart: Make
) -> None:
    """Those that are open are not; a compacted journal shows the middle changed slice, too."""
    for name, volume, slices in (
        ("old", make_heart(slices=6), (1, 2, 3)),
        ("new", make_cine(), (0,)),
    ):
        key = session.add(volume, name)
        session.segment(key, "toy").result(60)
        labels = session.image(key).labels
        for number in slices:
            shape = (labels.n_frames, *labels.spatial_shape)
            box = np.zeros(shape, bool)
            box[-1, number, 10:20, 10:20] = True
            at = np.flatnonzero(box)
            session.edit(key, at, labels.data.ravel()[at], np.full(at.size, 3))
    assert unsaved_work() == (), "they are open"
    for image in session.images:
        journal = image.autosave._journal if image.autosave.flush() else None
        if image.name == "old":
            journal.compact()
        session.labels_removed(image.key)
    new, old = sorted(unsaved_work(), key=lambda work: work.journal.name)
    assert unsaved_lines(new.journal)[::2] == ("new", "1 stroke")
    assert unsaved_lines(old.journal)[::2] == ("old", "3 strokes")
    colour = ImageColor.getrgb(new.journal.colours[3])
    for work in (new, old):
        picture = np.asarray(Image.open(io.BytesIO(work.picture)))
        assert picture.shape == (PIXELS, PIXELS, 3)
        assert (picture == colour).all(-1).sum() > 20, "the contour of what was painted"
    old.discard()
    assert [work.folder for work in unsaved_work()] == [new.folder]
