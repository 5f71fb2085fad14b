"""What a run would overwrite, and the question about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_flomo.session import Scope, Session, SliceIndex
from napari_flomo.session.messages import overwrite_text
from napari_flomo.session.overwrite import Overwritten, overwritten_by
from napari_flomo.volumes import Volume


def test_corrected_and_accepted_slices_are_counted(
    session: Session, make_cine: Callable[..., Volume], paint: Callable[..., None]
) -> None:
    key = session.add(make_cine(), "cine")
    image = session.image(key)
    assert not overwritten_by(image, Scope())
    session.segment(key, "toy").result(60)
    assert not overwritten_by(image, Scope())

    paint(session, key, np.s_[1, 2, :2, :2], 3)
    paint(session, key, np.s_[0, 1, :2, :2], 3)
    for place in (SliceIndex(1, 2), SliceIndex(2, 0), SliceIndex(2, 1)):
        session.go_to(key, place)
        session.accept(key)
    assert overwritten_by(image, Scope()) == Overwritten(corrected=2, accepted=2)
    assert overwritten_by(image, Scope(frames=(2,))) == Overwritten(accepted=2)
    assert overwritten_by(image, Scope(slices=(2,))) == Overwritten(corrected=1)

    paint(session, key, np.s_[0, 1, :2, :2], 0)  # as before the stroke
    assert overwritten_by(image, Scope(frames=(0,))) == Overwritten()


def test_overwrite_text() -> None:
    def ask(**counts: Any) -> str:
        return overwrite_text(Overwritten(**counts), "Undo")

    assert ask(corrected=1) == (
        "This will overwrite a slice that you corrected; Undo brings the labels back."
    )
    assert ask(corrected=3, accepted=1) == (
        "This will overwrite 3 slices that you corrected and a slice that you accepted; "
        "Undo brings the labels back."
    )


def test_the_scope_of_a_choice() -> None:
    here = SliceIndex(2, 5)
    assert Scope.of_choice("slice", here, 9) == Scope((5,), (2,))
    assert Scope.of_choice("stack", here, 9) == Scope(None, (2,))
    assert Scope.of_choice("all", here, 9) == Scope()
    assert Scope.of_choice("slice", SliceIndex(0, 5), 1) == Scope((5,))
    assert Scope.of_choice("stack", SliceIndex(0, 5), 1) == Scope()
