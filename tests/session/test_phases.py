"""End diastole and end systole of an open cine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_flomo.corrections import journals_folder, replay
from napari_flomo.errors import FlomoError
from napari_flomo.measures import VentriclePhases
from napari_flomo.session import (
    Event,
    PhasesChanged,
    Preferences,
    Scope,
    Session,
    note_of,
    review_note,
)
from napari_flomo.session.recovery import prepare
from napari_flomo.volumes import Volume

Make = Callable[..., Volume]
VENTRICLE = 3


@pytest.fixture
def key(session: Session, make_cine: Make) -> str:
    """A segmented cine, whose cavity is largest in frame 1 and smallest in frame 2."""
    key = session.add(make_cine(), "cine")
    session.segment(key, "toy").result(60)
    return key


def frames(session: Session, key: str) -> tuple[int | None, int | None]:
    left = session.measures(key).phases.left
    return left.ed, left.es


def test_a_correction_of_end_systole_changes_its_volume_and_no_frame(
    session: Session, key: str, paint: Callable[..., None]
) -> None:
    assert frames(session, key) == (1, 2)
    before = session.measures(key).left
    paint(session, key, (2, slice(None), slice(8, 40), slice(8, 40)), VENTRICLE)
    after = session.measures(key).left
    assert frames(session, key) == (1, 2), "although frame 0 is the smallest now"
    assert after.esv_ml > before.esv_ml
    assert after.ef_percent < before.ef_percent
    assert after.esv_ml == session.image(key).counts.ml(VENTRICLE, 2)


def test_a_pinned_frame_stays(session: Session, key: str, events: list[Event]) -> None:
    session.phases.pin(key, "ES", 0, ["left"])
    assert events[-1] == PhasesChanged(key)
    assert session.image(key).phases.right.es == 2
    assert session.measures(key).left.esv_ml == session.image(key).counts.ml(VENTRICLE, 0)
    session.segment(key, "toy").result(60)
    assert session.image(key).phases.left == VentriclePhases(1, 0, frozenset({"ES"}))
    session.phases.automatic(key)
    assert session.image(key).phases.left == VentriclePhases(1, 2)


def test_only_frames_of_a_segmented_cine(
    session: Session, make_cine: Make, make_heart: Make
) -> None:
    key = session.add(make_cine(), "cine")
    with pytest.raises(FlomoError, match="segment it first"):
        session.phases.pin(key, "ED", 0)
    session.segment(key, "toy", scope=Scope(frames=(2,))).result(60)
    assert frames(session, key) == (None, None)
    with pytest.raises(FlomoError, match="Frame 1 is not segmented"):
        session.phases.pin(key, "ED", 0)
    session.phases.pin(key, "ED", 2)
    assert session.measures(key).left.edv_ml == session.image(key).counts.ml(VENTRICLE, 2)
    session.segment(key, "toy", scope=Scope(frames=(0, 1))).result(60)
    assert session.image(key).phases.left == VentriclePhases(2, 2, frozenset({"ED"}))

    stack = session.add(make_heart(), "stack")
    session.segment(stack, "toy").result(60)
    assert frames(session, stack) == (None, None)
    for change in (session.phases.automatic, lambda key: session.phases.pin(key, "ED", 0)):
        with pytest.raises(FlomoError, match="one frame only"):
            change(stack)


@pytest.mark.parametrize("when", ["before the first stroke", "later", "compacted"])
def test_pins_survive_a_crash(
    session: Session, key: str, paint: Callable[..., None], when: str
) -> None:
    if when == "before the first stroke":
        session.phases.pin(key, "ES", 0)
    paint(session, key, (1, 1, 5, slice(5, 9)), VENTRICLE)
    if when != "before the first stroke":
        session.phases.pin(key, "ES", 0)
    image = session.image(key)
    wanted = image.phases, session.measures(key)
    assert image.autosave.flush()
    if when == "compacted":
        image.autosave._journal.compact()
    (folder,) = journals_folder().iterdir()
    found = replay(folder)
    again = session.add(found.image, "restored")
    session.restore(again, prepare(found, session.image(again)))
    assert (session.image(again).phases, session.measures(again)) == wanted
    assert wanted[0].left.pinned == {"ES"}


def test_saved_and_remembered(session: Session, key: str, make_cine: Make) -> None:
    session.phases.pin(key, "ES", 0, ["right"])
    image = session.image(key)
    preferences = Preferences()
    preferences.set_review(image.hash, review_note(image))
    note = note_of(image)

    tomorrow = session.add(make_cine(), "tomorrow")
    session.segment(tomorrow, "toy").result(60)
    session.earlier.resume(tomorrow, preferences.review(image.hash))
    assert session.image(tomorrow).phases == image.phases

    loaded = session.add(make_cine(), "loaded")
    labels = image.labels.with_data(image.labels.data.copy(), axes=image.labels.axes)
    session.restore_saved(loaded, note, image.segmentation.labels, labels, {})
    assert session.image(loaded).phases == image.phases


def test_notes_of_before(session: Session, key: str, make_cine: Make) -> None:
    image = session.image(key)
    note: dict[str, Any] = {name: one for name, one in note_of(image).items() if name != "phases"}
    session.restore_saved(
        key, note, image.segmentation.labels, image.labels.with_data(image.labels.data.copy()), {}
    )
    assert frames(session, key) == (1, 2)
    session.earlier.resume(key, image.review.to_dict())
    assert frames(session, key) == (1, 2)
    assert np.isfinite(session.measures(key).left.ef_percent)
