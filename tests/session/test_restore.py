"""Restore labels, locks and review after a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.corrections import Journal, Stroke, replay
from napari_flomo.errors import FlomoError
from napari_flomo.session import Scope, Session, SliceIndex, SliceState
from napari_flomo.session.provenance import provenance_of
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
    session.restore(again, found)
    back = session.image(again)
    assert np.array_equal(back.labels.data, before[0])
    assert session.measures(again) == before[1]
    assert back.locked == {2}
    assert back.review.order == order
    assert back.review.state(order[0]) is SliceState.ACCEPTED
    assert back.review.edits(SliceIndex(2, 1)) == 1
    assert back.segmentation.card == image.segmentation.card  # no model "toy" is installed
    assert np.array_equal(back.segmentation.labels.data, image.segmentation.labels.data)
    assert back.hash == image.hash

    session.segment(again, "toy").result(60)  # another run works
    assert back.segmentation.uncertainty["entropy"].data.any()

    stranger = session.add(make_heart(), "stranger")
    with pytest.raises(FlomoError, match="belong to another image than stranger"):
        session.restore(stranger, found)
    with pytest.raises(FlomoError, match="segment it first"):
        provenance_of(session.image(stranger))
