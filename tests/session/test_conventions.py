"""Conventions of an open image: the live measures are those of its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_flomo.measures import Conventions
from napari_flomo.session import (
    ConventionsChanged,
    Event,
    Session,
    cine_messages,
    counts_of,
    report_of,
    unknown_measures,
)
from napari_flomo.volumes import Volume

Make = Callable[..., Volume]
VENTRICLE, WALL = 3, 2
CHOICES = [
    Conventions("myocardium"),
    Conventions(basal_slices="half-enclosed"),
    Conventions("myocardium", "half-enclosed", "interpolated", 1.04),
]


@pytest.fixture
def key(session: Session, make_cine: Make, paint: Callable[..., None]) -> str:
    """A segmented cine with bright blood, dark wall, a papillary muscle and an open base."""
    cine = make_cine()
    key = session.add(replace(cine, slice_thickness=0.75 * cine.geometry.spacing[2]), "cine")
    session.segment(key, "toy").result(60)
    image = session.image(key)
    paint(session, key, slice(None), 0)
    for frame in range(cine.n_frames):
        end = 18 + 2 * frame
        paint(session, key, (frame, slice(None), slice(4, end + 2), slice(4, end + 2)), WALL)
        paint(session, key, (frame, slice(1, None), slice(6, end), slice(6, end)), VENTRICLE)
        paint(session, key, (frame, 0, slice(0, end), slice(0, end + 2)), 0)
        paint(session, key, (frame, 0, slice(6, end), slice(6, end)), VENTRICLE)
    image.volume.data[...] = np.where(image.labels.data == VENTRICLE, 200, 40)
    image.volume.data[..., 10:14, 10:14] = 40
    return key


@pytest.mark.parametrize("conventions", CHOICES)
def test_live_measures_are_those_of_the_report_also_after_a_stroke(
    session: Session,
    key: str,
    conventions: Conventions,
    events: list[Event],
    paint: Callable[..., None],
) -> None:
    before, image = session.measures(key), session.image(key)
    session.set_conventions(conventions)
    assert isinstance(events[-1], ConventionsChanged)
    assert session.measures(key).left != before.left
    for _stroke in range(2):
        heart = session.measures(key)
        assert heart == report_of(image).measures.heart
        assert heart.phases == before.phases, "conventions do not choose frames"
        ed = heart.phases.left.ed
        curves = {curve.code: curve.volumes for curve in session.curves(key)}
        assert curves[VENTRICLE][ed] == heart.left.edv_ml
        assert counts_of(image, [ed]).ml(VENTRICLE, ed) == heart.left.edv_ml
        assert set(conventions.differences()) <= set(cine_messages.heart_lines(heart))
        paint(session, key, (ed, slice(1, None), slice(14, 18), slice(14, 18)), WALL)
    session.set_conventions(Conventions())
    assert session.measures(key).left.edv_ml == image.counts.ml(VENTRICLE, ed)


def test_an_image_opened_later_has_the_same_conventions(session: Session, make_cine: Any) -> None:
    session.set_conventions(CHOICES[0])
    assert session.image(session.add(make_cine(), "later")).conventions == CHOICES[0]


def test_without_slice_thickness_volumes_are_unknown(session: Session, key: str) -> None:
    image = session.image(key)
    assert unknown_measures(image) == ""
    image.volume = replace(image.volume, slice_thickness=None)
    session.set_conventions(Conventions(slice_gaps="excluded"))
    assert "thickness" in unknown_measures(image)
    assert session.measures(key).left is None
