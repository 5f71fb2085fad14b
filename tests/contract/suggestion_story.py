"""What must work in every viewer when a model learns from the open study."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from viewer_story import MYOCARDIUM, VENTRICLE, Stage, corner

from napari_flomo.session import SliceIndex


class SuggestionStage(Stage, Protocol):
    """A viewer with the button of `suggestion_messages.LEARN_STUDY`."""

    def can_learn_study(self) -> bool:
        """Return True if the button is enabled."""

    def learn_study(self) -> None:
        """Click the button and wait for the end of the run."""


def tell_of_suggestions(stage: SuggestionStage) -> None:
    """Accept two slices, learn from them, and undo that in one step."""
    stage.segment()
    (image,) = stage.session.images
    stage.paint(corner(image.volume.data.shape, 1), VENTRICLE)
    for number in (1, 2):
        assert not stage.can_learn_study()
        stage.presenter.go_to(image.key, SliceIndex(0, number))
        stage.presenter.accept(image.key)
    stage.wait(stage.can_learn_study)
    mine = stage.shown().copy()
    stage.learn_study()
    suggested = np.where(mine > 0, MYOCARDIUM, mine)
    suggested[1:3] = mine[1:3]
    assert np.array_equal(stage.shown(), suggested)
    assert image.review.accepted == 2, "a suggestion is not accepted by itself"
    assert image.review.edits(SliceIndex(0, 1)) > 0
    stage.undo()
    assert np.array_equal(stage.shown(), mine)
    assert image.review.accepted == 2
    stage.session.labels_saved(image.key)
