"""Find the fastest engine on this computer for a network and an image size."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.engines.engine import Engine, EngineError
from napari_flomo.segmentation.engines.records import Trial
from napari_flomo.segmentation.engines.registry import EngineKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROUNDS = 5
TIMING_SECONDS = 2.0
"""No further round begins after this time."""

MAX_TIME_RATIO = 0.9
"""An engine must take less than this fraction of the rewritten network's time to be chosen."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Measurement:
    """Result of timing: the chosen engine, its compiled graph if any, and all trials."""

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
) -> Measurement:
    """Prepare, check and time engines on real slices, the plain network first.

    ``make`` creates an engine by name, from a compiled graph if given; ``images`` are on
    ``device``. ``check`` is called before each engine is prepared and may raise to stop.
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
            seen = check_agreement(kind, found, truth, card)
            trials[kind.name] = Trial(setup=setup, load=setup, difference=seen.difference)
            if hasattr(engine, "dump"):
                graphs[kind.name] = engine.dump()
                start = perf_counter()
                engine = make(kind.name, graphs[kind.name])  # as the next process does
                check_agreement(kind, engine(images), truth, card)
                trials[kind.name] = replace(trials[kind.name], load=perf_counter() - start)
            engines[kind.name] = engine
        except Exception as error:  # any library error only excludes the engine
            logger.info("the engine %s cannot be used: %r", kind.name, error)
            trials[kind.name] = Trial(fault=error_reason(error))
    for name, seconds in time_in_turns(engines, images, device).items():
        trials[name] = replace(trials[name], seconds=seconds)
    chosen = choose(trials)
    return Measurement(
        chosen,
        trials,
        engines[chosen],
        {name: content for name, content in graphs.items() if name == chosen},
    )


def time_in_turns(
    engines: Mapping[str, Engine], images: Tensor, device: torch.device
) -> dict[str, float]:
    """Return the median seconds per slice; engines take turns, so that other load affects all."""
    import torch

    # As many slices as the largest preferred batch.
    count = max([len(images), *(engine.batch or 1 for engine in engines.values())])
    images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count]
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    began = perf_counter()
    for number in range(ROUNDS):
        if number and perf_counter() - began > TIMING_SECONDS:
            break
        for name, engine in engines.items():
            start = perf_counter()
            # In batches of the preferred size of the engine.
            for some in images.split(engine.batch or len(images)):
                engine(some)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append((perf_counter() - start) / len(images))
    return {name: statistics.median(values) for name, values in seconds.items()}


def choose(trials: Mapping[str, Trial]) -> str:
    """Return the name of the fastest engine; PyTorch is kept unless the gain is clear."""
    speed = {name: trial.seconds for name, trial in trials.items() if trial.seconds is not None}
    simple = min(("fast", "eager"), key=lambda name: speed.get(name, float("inf")))
    best = min(speed, key=lambda name: speed[name])
    return best if speed[best] < MAX_TIME_RATIO * speed.get(simple, float("inf")) else simple


def error_reason(error: BaseException) -> str:
    """Return a reason for the manifest; messages of libraries may contain paths."""
    return str(error) if isinstance(error, EngineError) else type(error).__name__
