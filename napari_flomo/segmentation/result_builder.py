"""Collect predictions of slices into a segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.bounding_box import grown
from napari_flomo.segmentation.postprocessing import keep_largest_component
from napari_flomo.segmentation.prediction import Prediction
from napari_flomo.segmentation.preprocessing import Plan, reach
from napari_flomo.segmentation.resampling import Floats
from napari_flomo.segmentation.scores import (
    PLAUSIBLE,
    Scores,
    predictive_entropy,
    structure_probability,
)
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.volumes import Volume


class ResultBuilder:
    """Collects predictions and returns a `Segmentation`.

    ``keep`` says whether to keep the probabilities, ``maps`` which uncertainty maps.
    """

    def __init__(
        self, volume: Volume, card: ModelCard, plan: Plan, *, keep: bool, maps: Iterable[str]
    ) -> None:
        grid = (volume.n_frames, *volume.spatial_shape)
        self.volume, self.card = volume, card
        self.codes = np.array([label.code for label in card.classes], np.uint8)
        self.labels = np.zeros(grid, np.uint8)
        self.maps = {name: np.zeros(grid, np.float32) for name in maps}
        # The field of view of the network, and a margin of pure background.
        self._field = grown(reach(plan), 1, plan.native)
        # Below this probability of any structure the label is background.
        self._least = PLAUSIBLE if card.activation == "softmax" else card.threshold
        self.scores = Scores.empty(volume.n_frames, volume.n_slices, card)
        self.probabilities = np.zeros((len(self.codes), *grid), np.float32) if keep else None

    def put(self, frame: int, slices: list[int], prediction: Prediction) -> None:
        """Add the prediction of some slices."""
        whole = prediction.probabilities
        rows, columns = self._field
        probabilities = whole[:, :, rows, columns]
        entropy = predictive_entropy(probabilities, self.card.activation)
        for name, array in self.maps.items():
            if name == "entropy":
                array[frame][slices, rows, columns] = entropy
            else:
                array[frame, slices] = prediction.maps[name]
        labels = self._labels_of(probabilities)
        self.labels[frame][slices, rows, columns] = labels
        self.scores.put(
            frame,
            slices,
            labels,
            entropy,
            probabilities,
            card=self.card,
            geometry=self.volume.geometry,
        )
        if self.probabilities is not None:
            for index in range(len(self.codes)):
                self.probabilities[index, frame, slices] = whole[:, index]

    def _labels_of(self, probabilities: Floats) -> NDArray[np.uint8]:
        """Return the code of the most probable class of every pixel; the first one of a tie."""
        likely = np.nonzero(structure_probability(probabilities, self.card) >= self._least)
        classes = probabilities[likely[0], :, likely[1], likely[2]]
        found = self.codes[classes.argmax(1)]
        if self.card.activation == "sigmoid":
            found[classes.max(1) < self.card.threshold] = 0
        labels = np.zeros((len(probabilities), *probabilities.shape[2:]), np.uint8)
        labels[likely] = found
        return labels

    def postprocess(self, frame: int) -> None:
        """Postprocess the labels of a whole frame; uncertainty and probabilities are unchanged.

        A removed component still counts in the slice score: a reviewer should look there.
        """
        self.labels[frame] = keep_largest_component(self.labels[frame], self.codes[self.codes > 0])

    def finish(self, manifest: dict[str, Any]) -> Segmentation:
        """Return the segmentation on the grid of the volume."""
        axes = tuple(name for name in self.volume.axes if name != "channels")
        moving = "frames" in axes

        def on_grid(array: NDArray[Any]) -> Volume:
            return self.volume.with_data(array if moving else array[0], axes=axes)

        probabilities = None
        if self.probabilities is not None:
            data = self.probabilities if moving else self.probabilities[:, 0]
            probabilities = self.volume.with_data(data, axes=("classes", *axes))
        return Segmentation(
            labels=on_grid(self.labels),
            probabilities=probabilities,
            uncertainty={name: on_grid(array) for name, array in self.maps.items()},
            slice_scores=self.scores.uncertainty_cm2,
            scores=self.scores,
            manifest=manifest,
            card=self.card,
        )
