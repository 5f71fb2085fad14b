"""The result of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.files import OutputFile, PathLike, write_all
from napari_flomo.models import ModelCard
from napari_flomo.segmentation.scores import Scores
from napari_flomo.volumes import Volume


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels, probabilities and uncertainty of one volume, on its own grid.

    Attributes
    ----------
    labels
        Uint8 codes of the card, axes as the volume's without channels. Skipped frames
        and slices are 0 and listed in ``manifest["skipped"]``.
    probabilities
        Float32 with the axis "classes" in front, in the order of ``card.classes``; 0 where nothing
        was segmented. None if not kept.
    uncertainty
        Float32 maps by name, those of `napari_flomo.segmentation.MAPS` that were requested, shaped
        like the labels: 0 (certain) to 1, and 0 where nothing was segmented.
    slice_scores
        ``(frames, slices)``: how much uncertainty a slice holds, in cm² (in pixels where the
        spacing is unknown), see `Scores.uncertainty_cm2`; NaN where nothing was segmented. High is
        uncertain. Of the scores that need no second pass it finds the most errors.
    manifest
        Versions, device, model, seconds; no patient data.
    card
        The model's card, with the names of the codes.
    scores
        Further scores of each slice and structure; None if not kept.
    """

    labels: Volume
    probabilities: Volume | None
    uncertainty: Mapping[str, Volume]
    slice_scores: NDArray[np.float32]
    manifest: Mapping[str, Any]
    card: ModelCard
    scores: Scores | None = None

    def save(
        self,
        labels: PathLike,
        *,
        probabilities: PathLike | None = None,
        uncertainty: PathLike | None = None,
        maps: Mapping[str, PathLike] | None = None,
        others: Sequence[OutputFile] = (),
    ) -> None:
        """Write the labels and other results: all files or none.

        Parameters
        ----------
        labels, probabilities, uncertainty
            Image files, format by suffix; ``uncertainty`` is the entropy. Classes lie along the
            last axis of a NIfTI file.
        maps
            Image files for other uncertainty maps, by name.
        others
            Further files to write with them, such as those of `dicom_seg_files`.

        Raises
        ------
        FlomoError
            If the probabilities were not kept, a map was not requested, or a file cannot be
            written.
        """
        from napari_flomo.volumes import check_suffix, write_in_place

        volumes: list[tuple[PathLike, Volume]] = [(labels, self.labels)]
        if probabilities is not None:
            if self.probabilities is None:
                raise FlomoError(
                    "The probabilities were not kept; segment again with keep_probabilities=True."
                )
            volumes.append((probabilities, self.probabilities))
        wanted = [*(maps or {}).items()]
        if uncertainty is not None:
            wanted.insert(0, ("entropy", uncertainty))
        for name, path in wanted:
            if name not in self.uncertainty:
                raise FlomoError(
                    f"The map {name!r} was not computed; segment again with maps=({name!r},)."
                )
            volumes.append((path, self.uncertainty[name]))
        for path, volume in volumes:
            check_suffix(path, volume)
        write_all([*((path, partial(write_in_place, volume)) for path, volume in volumes), *others])
