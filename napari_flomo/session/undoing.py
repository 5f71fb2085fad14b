"""Undo and redo of what replaced all labels of an image: runs, restores, labels of an earlier day.

A viewer undoes labels only. It notes in its history which step it shows (`Steps.current`), and
reports the step that an undo or redo leads to.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session.editing import measure_slice
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.insertions import phases_note
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.review_actions import record_acceptances, reopen
from napari_flomo.session.steps import StepResults


def begin_step(image: OpenImage, labels: NDArray[np.integer] | None = None) -> None:
    """Save what an image has, before something replaces its labels.

    ``labels`` is a copy of the labels that nobody else changes, if there is one already.
    """
    if image.labels is not None:
        last = image.labels.data.copy() if labels is None else labels
        image.steps.begin(_results_of(image, last))
        image.undoable.clear()


def go_to_step(
    image: OpenImage,
    step: str,
    indices: NDArray[np.integer],
    old: NDArray[np.integer],
    new: NDArray[np.integer],
) -> None:
    """Restore labels, review, scores, proposed labels and model of a step of `Steps.left`.

    ``indices``, ``old`` and ``new`` are what the undo or redo changed, as in `Session.edit`. If it
    undid strokes of that step as well, their slices are reopened.
    """
    assert image.labels is not None
    before = image.labels.data.copy()
    before.ravel()[indices] = old
    image.labels.data.flat[indices], image.spare = new, None
    confirmed = frozenset(image.confirmed)
    results = image.steps.go_to(step, _results_of(image, before))
    image.segmentation, image.model = results.segmentation, results.model
    image.review, image.counts = copy.deepcopy(results.review), copy.deepcopy(results.counts)
    image.phases, image.insertions = results.phases, results.insertions
    image.confirmed = set(results.confirmed)
    image.undoable.clear()
    # What was accepted in the step that was left is accepted no longer, except that of another day.
    image.reopened = set(results.reopened) | (confirmed - image.confirmed - image.brought_back)
    if image.autosave is not None:
        if len(indices):
            image.autosave.record_change("undo", indices, old, new)
        image.autosave.record_phases(phases_note(image))
    record_acceptances(image, confirmed)
    differs = (image.labels.data != results.labels.data).any(axis=(-2, -1))
    for place in np.argwhere(differs.reshape(image.labels.n_frames, -1)):
        index = SliceIndex(*map(int, place))
        measure_slice(image, index)
        reopen(image, index)


def _results_of(image: OpenImage, labels: NDArray[np.integer]) -> StepResults:
    assert image.labels is not None
    return StepResults(
        segmentation=image.segmentation,
        labels=image.labels.with_data(labels, axes=image.labels.axes),
        review=copy.deepcopy(image.review),
        counts=copy.deepcopy(image.counts),
        phases=image.phases,
        insertions=image.insertions,
        confirmed=frozenset(image.confirmed),
        reopened=frozenset(image.reopened),
        model=image.model,
    )
