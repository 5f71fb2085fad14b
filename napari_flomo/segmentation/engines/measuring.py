"""Which engine is the fastest on this computer, for this network and size of image."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from napari_flomo.models.card import ModelCard
from napari_flomo.segmentation.engines.checking import demand_agreement
from napari_flomo.segmentation.engines.engine import Engine, EngineFault
from napari_flomo.segmentation.engines.records import Trial
from napari_flomo.segmentation.engines.registry import EngineKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROUNDS = 5
BUDGET = 2.0
"""Seconds for timing all engines, beyond which no further round begins."""

WORTH = 0.9
"""An engine must take less than this share of the rewritten network's time to take its place."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a measurement found.

    Attributes
    ----------
    chosen
        Name of the engine to take.
    trials
        By the name of the engine.
    engine
        The chosen one, ready.
    graphs
        Its compiled graph, by its name, where it has one.
    """

    chosen: str
    trials: Mapping[str, Trial]
    engine: Engine
    graphs: Mapping[str, bytes]


def measure(
    kinds: Sequence[EngineKind],
    make: Callable[[str, bytes | None], Engine],
    images: Tensor,
    *,
    card: ModelCard,
    device: torch.device,
    check: Callable[[], None] | None = None,
) -> Outcome:
    """Prepare, check and time engines on real slices.

    Parameters
    ----------
    kinds
        The engines, the plain network first.
    make
        Makes an engine by name, from a compiled graph where there is one.
    images
        Slices as the network gets them, on ``device``.
    card
        Says how logits become probabilities.
    device
        Where the engines compute.
    check
        Called before each engine is prepared; may raise to end it all.
    """
    engines: dict[str, Engine] = {}
    trials: dict[str, Trial] = {}
    graphs: dict[str, bytes] = {}
    truth = make("eager", None)(images)
    for kind in kinds:
        if check is not None:
            check()
        try:
            start = perf_counter()
            engine = make(kind.name, None)
            found = engine(images)
            setup = perf_counter() - start
            seen = demand_agreement(kind, found, truth, card)
            trials[kind.name] = Trial(setup=setup, load=setup, difference=seen.difference)
            if hasattr(engine, "dump"):
                graphs[kind.name] = engine.dump()
                start = perf_counter()
                engine = make(kind.name, graphs[kind.name])  # what the next process will do
                demand_agreement(kind, engine(images), truth, card)
                trials[kind.name] = replace(trials[kind.name], load=perf_counter() - start)
            engines[kind.name] = engine
        except Exception as error:  # libraries fail in their own ways, and none may stop the work
            logger.info("the engine %s cannot be used: %r", kind.name, error)
            trials[kind.name] = Trial(fault=fault_of(error))
    for name, seconds in time_in_turns(engines, images, device).items():
        trials[name] = replace(trials[name], seconds=seconds)
    chosen = choose(trials)
    return Outcome(
        chosen,
        trials,
        engines[chosen],
        {name: content for name, content in graphs.items() if name == chosen},
    )


def time_in_turns(
    engines: Mapping[str, Engine], images: Tensor, device: torch.device
) -> dict[str, float]:
    """Return seconds per slice, medians over turns, so that what else runs here hits all alike."""
    import torch

    # As many slices as the engine that takes most at once wants to see.
    count = max([len(images), *(engine.batch or 1 for engine in engines.values())])
    images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count]
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    began = perf_counter()
    for number in range(ROUNDS):
        if number and perf_counter() - began > BUDGET:
            break
        for name, engine in engines.items():
            start = perf_counter()
            # In portions, as a volume would come: each engine has the size that suits it.
            for some in images.split(engine.batch or len(images)):
                engine(some)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append((perf_counter() - start) / len(images))
    return {name: statistics.median(values) for name, values in seconds.items()}


def choose(trials: Mapping[str, Trial]) -> str:
    """Return the name of the fastest engine; a small gain is not worth another library."""
    speed = {name: trial.seconds for name, trial in trials.items() if trial.seconds is not None}
    simple = min(("fast", "eager"), key=lambda name: speed.get(name, float("inf")))
    best = min(speed, key=lambda name: speed[name])
    return best if speed[best] < WORTH * speed.get(simple, float("inf")) else simple


def fault_of(error: BaseException) -> str:
    """Return what may be told of a failure: foreign messages may hold the paths of a computer."""
    return str(error) if isinstance(error, EngineFault) else type(error).__name__
