"""Run a model on images of one size with the chosen engine, and fall back if it fails."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from napari_flomo.errors import FlomoError, out_of_memory
from napari_flomo.segmentation.device import has_torch, is_gpu
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.engines.engine import Engine, EngineError
from napari_flomo.segmentation.engines.factory import make_engine
from napari_flomo.segmentation.engines.registry import ENGINES, GRAPH_ENGINES, unavailable_reason
from napari_flomo.segmentation.engines.source import ModelSource
from napari_flomo.segmentation.engines.tracing import example
from napari_flomo.segmentation.output import Output
from napari_flomo.segmentation.resampling import Floats
from napari_flomo.segmentation.threads import threads

logger = logging.getLogger(__name__)


def choose_engine(source: ModelSource, size: tuple[int, int], asked: str) -> tuple[str, str]:
    """Return the engine to use for images of a size, and why.

    ``"auto"`` is the model's graph on the CPU, else PyTorch; ``"fastest"`` may be in lower
    precision where the hardware supports it.
    """
    if asked not in ("auto", "fastest"):
        return asked, "asked for"
    device = source.device
    if asked == "fastest" and has_torch():
        for name in ("bf16",) if is_gpu(device) else ("openvino-bf16",):
            if unavailable_reason(ENGINES[name], device) is None:
                return name, "the hardware computes in bfloat16"
    if device != "cpu":
        return "eager", f"the device is {device}"
    for name in GRAPH_ENGINES:
        if unavailable_reason(ENGINES[name], device) is None and source.graph(size) is not None:
            return name, "the model has a graph"
    return "eager", "the model has no graph for this size"


class EngineRunner:
    """A model and its engines, for images of one size (rows, columns).

    ``asked`` is from `chosen_engine`.
    """

    def __init__(self, source: ModelSource, size: tuple[int, int], *, asked: str) -> None:
        self.asked = asked
        self._source, self._size = source, size
        self._name, self._reason = choose_engine(source, size, asked)
        self._engines: dict[str, Engine] = {}
        self._used: Counter[str] = Counter()
        self._checked: set[str] = set()

    @property
    def batch(self) -> int | None:
        """Preferred number of slices per call; None leaves it to the caller."""
        return self._engines[self._name].batch if self._name in self._engines else None

    def __call__(self, images: Floats, *, maps: bool = False) -> Output:
        """Return the output for ``(slices, channels, rows, columns)``, float32, on any engine.

        An engine that fails is replaced by the plain network in PyTorch, if that is installed.
        """
        # Only PyTorch returns the network's own maps.
        name = "eager" if maps and not ENGINES[self._name].maps else self._name
        try:
            output = self._engine(name)(images, maps=maps)
            self._check(name, images, output)
        except FlomoError:
            raise
        except Exception as error:
            # Fewer slices may fit; one slice may fit into another engine.
            if name == "eager" or not has_torch() or (out_of_memory(error) and len(images) > 1):
                raise
            logger.info("the engine %s failed and is not used: %r", name, error)
            self._reason = f"{name} was not used: {error_reason(error)}"
            self._name = "eager"
            return self(images, maps=maps)
        self._used[name] += len(images)
        return output

    def begin(self) -> None:
        """Start to count the slices of a run."""
        self._used = Counter()

    def warm_up(self) -> None:
        """Prepare the engine and run it once, so that the first slice is not slower."""
        self(example(self._source.card.in_channels, self._size))

    def prepare_graph(self) -> None:
        """Make the graph of a model that has none, for later runs; takes seconds.

        Does nothing unless the engine is chosen automatically, on a CPU with a library for graphs.
        """
        usable = any(unavailable_reason(ENGINES[n], self._source.device) is None
                     for n in GRAPH_ENGINES)  # fmt: skip
        if self.asked != "auto" or self._name in GRAPH_ENGINES or not usable:
            return
        try:
            self._source.make_graph(self._size)
        except Exception as error:  # not every network can be converted
            logger.info("no graph was made: %r", error)
            return
        self._name, self._reason = choose_engine(self._source, self._size, self.asked)

    def report(self) -> dict[str, Any]:
        """Return the manifest entry of the engine, in plain JSON types.

        ``name``, ``precision`` and ``threads`` are those of the last engine; ``slices`` counts by
        engine; ``reason`` says why it was used.
        """
        kind = ENGINES[self._name]
        engine = self._engines.get(self._name)
        return {
            "asked": self.asked,
            "name": kind.name,
            "precision": kind.precision,
            "threads": threads() if engine is None else engine.threads,
            "slices": dict(self._used),
            "reason": self._reason,
        }

    def _check(self, name: str, images: Floats, output: Output) -> None:
        """Compare the first slices in lower precision with PyTorch: rounding depends on hardware.

        Graphs in float32 were compared when they were made.
        """
        if name in self._checked or ENGINES[name].precision == "float32":
            return
        truth = self._engine("eager")(images)
        check_agreement(ENGINES[name], Output(output.logits), truth, self._source.card)
        self._checked.add(name)

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._engines[name] = make_engine(name, self._source, self._size)
        return self._engines[name]


def error_reason(error: BaseException) -> str:
    """Return a reason for the manifest; messages of libraries may contain paths."""
    return str(error) if isinstance(error, EngineError) else type(error).__name__
