"""Predict probabilities and uncertainty maps of slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.segmentation.manifest import StageTimer
from napari_flomo.segmentation.maps import COARSER, COMPLEMENTS, MapKind
from napari_flomo.segmentation.output import Output, as_probabilities
from napari_flomo.segmentation.preprocessing import Plan, restore
from napari_flomo.segmentation.resampling import Floats, resize
from napari_flomo.segmentation.tta import MIRRORED, VIEWS, PassStatistics

if TYPE_CHECKING:
    from napari_flomo.segmentation.engines import Draws


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of some slices, on the native grid.

    ``probabilities`` are calibrated, ``(slices, classes, rows, columns)``, of the plain pass or the
    mean over mirrored views; ``maps`` are ``(slices, rows, columns)`` each, without the entropy.
    """

    probabilities: Floats
    maps: dict[str, Floats]


def predict(
    network: Callable[..., Output],
    card: ModelCard,
    plan: Plan,
    images: Floats,
    *,
    kinds: Sequence[MapKind],
    watch: StageTimer,
    before_pass: Callable[[int], None],
    draws: Draws | None = None,
    mirrored: bool = False,
) -> Prediction:
    """Run the network on some slices, as often as the maps require.

    Parameters
    ----------
    network
        Takes images and ``maps``, such as an `EngineRunner`.
    card, plan
        The card of the network, and the plan of the image.
    images
        ``(slices, channels, rows, columns)`` on the network's grid.
    kinds, draws
        The maps to compute, and the Monte Carlo passes that they need.
    watch
        Measures the stages.
    before_pass
        Called before each pass with its number, from 0; may raise to stop.
    mirrored
        Whether probabilities are the mean over the slice and its mirror images.
    """
    before_pass(0)
    with watch.stage("network"):
        output = network(images, maps=any(kind.reads for kind in kinds))
        plain = as_probabilities(output.logits, card)
        maps = network_maps(output, kinds, card.name)
        del output
    spreads = {kind.over: PassStatistics(card.activation) for kind in kinds if kind.over}
    number = count(1)
    if "views" in spreads:
        spreads["views"].add(plain)
    total = plain
    for view in (VIEWS if "views" in spreads else MIRRORED if mirrored else ())[1:]:
        before_pass(next(number))
        with watch.stage("network"):
            seen_so, where = view.back(as_probabilities(network(view.of(images)).logits, card))
            if "views" in spreads:
                spreads["views"].add(seen_so, where)
            if mirrored and view in MIRRORED:
                total = total + seen_so
    if "draws" in spreads and draws is not None:
        for draw in range(len(draws)):
            before_pass(next(number))
            with watch.stage("network"):
                logits = draws(images, draw).logits
                spreads["draws"].add(as_probabilities(logits, card))
    with watch.stage("restore"):
        background = 0 if card.activation == "softmax" else None
        mean = total / np.float32(len(MIRRORED)) if mirrored else total
        probabilities = restore(mean, plan, background)
        shown = {over: spread.maps() for over, spread in spreads.items()}
        maps |= {kind.name: shown[kind.over][kind.shows] for kind in kinds if kind.over}
        wanted = {kind.name: maps[kind.name] for kind in kinds if kind.name in maps}
        return Prediction(
            probabilities,
            {name: restore(one, plan, None)[:, 0] for name, one in wanted.items()},
        )


def network_maps(output: Output, kinds: Sequence[MapKind], model: str) -> dict[str, Floats]:
    """Return the network's own maps, each ``(slices, 1, rows, columns)`` at the input's size.

    The stages are resized one by one and then averaged. Raises `FlomoError` if the network does not
    return them.
    """
    returned = output.maps
    size = output.logits.shape[-2:]
    found = {}
    for kind in kinds:
        if not kind.reads:
            continue
        if any(name not in returned for name in kind.reads):
            raise FlomoError(
                f"The network of {model} has no map {kind.name!r} of its own; choose entropy or "
                "another map that every network has."
            )
        stages = []
        for name in kind.reads:
            stage, _, what = name.partition(".")
            one = returned[name]
            one = resize(one, tuple(COARSER[stage] * side for side in one.shape[-2:]))
            # The network pads its input at the end, to a multiple of its stride.
            one = one[..., : size[0], : size[1]]
            stages.append(1 - one if what in COMPLEMENTS else one)
        found[kind.name] = np.mean(stages, axis=0, dtype=np.float32).clip(0, 1)
    return found
