"""Classical ways to carry corrections of one phase, or of some slices, on to the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import optical_flow_tvl1
from studies import Study
from study_results import Result

from napari_flomo.label_tools import fill_between
from napari_flomo.segmentation import Segmentation


def carried(study: Study) -> Iterator[Result]:
    """Yield the results of classical ways to carry a correction on."""
    labels = study.network()
    for source, target in ((0, 1), (1, 0)):
        places = [(target, number) for number in range(len(labels[target]))]
        before = study.wrong(labels, places)
        ways = {"copied": (), "registered": study.found[:: 1 if target == 0 else -1]}
        if study.between:
            path = [study.found[0], *study.between, study.found[1]]
            ways["registered frame by frame"] = path[:: 1 if target == 0 else -1]
        for kind, frames in ways.items():
            begin, now = time.process_time(), list(labels)
            drawn = study.corrected(source)
            now[target] = with_flow(drawn, labels[target], frames) if frames else drawn
            spent = time.process_time() - begin
            after = study.wrong(now, places)
            phase = ("ED", "ES")[source]
            yield Result(
                study.data, study.name, kind, phase, len(places), before, after, after, spent
            )
    yield interpolated(study)


def with_flow(
    drawn: NDArray[np.integer], proposed: NDArray[np.integer], frames: Sequence[Segmentation]
) -> NDArray[np.integer]:
    """Move labels from the last of some frames to the first by optical flow, fused with its own.

    The flow is that between the network's probabilities, weighted by structure; what was moved and
    the probabilities of the first frame have the same weight in the geometric mean.
    """
    codes = [label.code for label in frames[0].card.labels]
    shares = [probabilities(frame) for frame in frames]
    rows, columns = (
        slice(max(int(places.min()) - 16, 0), int(places.max()) + 17)
        for places in np.nonzero(np.any([one.any(0) for one in (drawn, proposed)], 0))
    )
    result = proposed.copy()
    for number in range(len(result)):
        pictures = [_expected(share[:, number, rows, columns]) for share in shares]
        where = np.indices(pictures[0].shape).astype(float)
        for here, there in pairwise(pictures):
            flow = optical_flow_tvl1(here, there, num_warp=5)
            where += [map_coordinates(one, where, order=1, mode="nearest") for one in flow]
        region = drawn[number, rows, columns]
        moved = [map_coordinates((region == code).astype(float), where, order=1) for code in codes]
        smooth = np.stack([gaussian_filter(one, 1.5) for one in moved]) + 1e-3
        fused = np.log(shares[0][:, number, rows, columns] + 1e-4) + np.log(smooth)
        result[number, rows, columns] = np.asarray(codes)[fused.argmax(0)]
    return result


def _expected(shares: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return one picture in which all structures of ACDC differ."""
    return 0.6 * shares[1] - 0.6 * shares[2] + shares[3]


def probabilities(found: Segmentation) -> NDArray[np.float32]:
    """Return probabilities as ``(classes, slices, rows, columns)``."""
    volume = found.probabilities
    assert volume is not None
    return np.moveaxis(volume.data, volume.axes.index("classes"), 0).astype(np.float32)


def interpolated(study: Study) -> Result:
    """Leave out every second slice that both neighbours surround, and interpolate it."""
    now, places = [labels.copy() for labels in study.network()], []
    begin = time.process_time()
    for frame, reference in enumerate(study.references):
        spacing = reference.geometry.spacing
        present = np.flatnonzero(reference.data.any((1, 2)))
        for number in present[1:-1:2]:
            filled = fill_between(reference.data, (spacing[1], spacing[0]), slices=[int(number)])
            now[frame][number] = filled[number]
            places.append((frame, int(number)))
    before, after = study.wrong(study.network(), places), study.wrong(now, places)
    spent = time.process_time() - begin
    return Result(
        study.data,
        study.name,
        "interpolated",
        "neighbours",
        len(places),
        before,
        after,
        after,
        spent,
    )
