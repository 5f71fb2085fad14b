"""Run a network on images of one size with the best engine, and fall back if it fails."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import Cancelled, out_of_memory
from napari_flomo.models import ModelCard
from napari_flomo.segmentation.engines import records
from napari_flomo.segmentation.engines.agreement import EngineAgreement, check_agreement
from napari_flomo.segmentation.engines.engine import Engine, EngineError
from napari_flomo.segmentation.engines.factory import make_engine
from napari_flomo.segmentation.engines.registry import ENGINES, candidates
from napari_flomo.segmentation.engines.timing import error_reason, measure
from napari_flomo.segmentation.engines.tracing import example

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_flomo.networks import Output

SAMPLE = 4
"""Slices on which engines are compared and timed."""

MIN_WORK_SECONDS = 2.0
"""Engines are timed during a segmentation only if more work than this is done and remains."""

UNMEASURED = "no other was measured yet"

logger = logging.getLogger(__name__)


class EngineRunner:
    """A network and its engines, for images of one size (rows, columns).

    With ``"auto"`` and ``"fastest"`` work starts with the rewritten network. Preparing the other
    engines takes seconds. This is done during long work, when as much time has passed and as much
    remains, or by `find_fastest` when the program is idle. The outcome is cached. A cached engine
    is loaded when it saves more time than loading takes.

    ``asked`` is from `chosen_engine`; ``weights`` is the SHA-256 of the network's weights if
    verified, without which nothing is cached.
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        size: tuple[int, int],
        *,
        device: torch.device,
        asked: str,
        weights: str | None,
    ) -> None:
        import torch

        self.asked = asked
        self._network, self._card, self._size, self._device = network, card, size, device
        self._kinds = candidates(asked, device)
        self._automatic = asked in ("auto", "fastest")
        arguments = json.dumps(dict(card.network_arguments), sort_keys=True, default=str)
        self._key = weights and records.key(
            weights=weights,
            network=f"{card.network} {arguments}",
            channels=card.in_channels,
            size=size,
            asked=asked,
            threads=torch.get_num_threads(),
            device=device,
            engines=[kind.name for kind in self._kinds],
        )
        self._record = records.read(self._key) if self._key else None
        self._engines: dict[str, Engine] = {}
        self._from_cache: set[str] = set()  # names of engines loaded from the cache
        self._name = "fast" if self._automatic else asked
        self._disabled = False
        self._checked_engines = {
            ("eager", False),
            ("eager", True),
        }  # name, and with maps or without
        self._seen: dict[str, EngineAgreement] = {}  # of engines in lower precision
        self._sample: Tensor | None = None
        self._preparing = threading.Lock()
        self._reason = "asked for"
        if self._automatic:
            self._reason = UNMEASURED if self._record is None else "measured"
        self._left, self._spent, self._passes = 0, 0.0, 0
        self._used: Counter[str] = Counter()
        self._check_stop: Callable[[], None] | None = None

    @property
    def batch(self) -> int | None:
        """Preferred number of slices per call; None leaves it to the caller."""
        return self._engines[self._name].batch if self._name in self._engines else None

    def expect(self, passes: int, check: Callable[[], None] | None = None) -> None:
        """Announce the number of passes over a slice, and load a cached faster engine if it pays.

        ``check`` is called while engines are prepared during the work; it may raise to stop it.
        """
        self._left, self._used, self._check_stop = passes, Counter(), check
        record = self._record
        if not self._automatic or record is None or record.chosen == self._name or self._disabled:
            return
        best, now = record.trials[record.chosen], record.trials.get(self._name)
        if best.seconds is None or now is None or now.seconds is None:
            return
        if (now.seconds - best.seconds) * passes > (best.load or 0.0):
            self._load_chosen(record)

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Return the output for ``(slices, channels, rows, columns)``, float32, on any engine."""
        start = perf_counter()
        output = self._checked(images, maps)
        if self._automatic and self._record is None and self._sample is None:
            self._sample = images[:SAMPLE].clone()
        self._spent += perf_counter() - start
        self._passes += len(images)
        self._left -= len(images)
        if self._pays():
            self.find_fastest(self._check_stop)
        return output

    def warm_up(self) -> None:
        """Load the fastest known engine and run it once, so that the first slice is not slower."""
        import torch

        if self._automatic and self._record is not None:
            self._load_chosen(self._record)
        with torch.inference_mode():
            images = example(self._card.in_channels, self._size).to(self._device)
            self._checked(images, False, real=False)

    def find_fastest(self, check: Callable[[], None] | None = None) -> None:
        """Find the fastest engine unless it is known; takes seconds.

        Does nothing before the first slices. May be called in another thread while the network
        runs. ``check`` is called before each engine is prepared; it may raise `Cancelled`.
        """
        import torch

        if not self._undecided or not self._preparing.acquire(blocking=False):
            return
        try:
            assert self._sample is not None
            with torch.inference_mode():
                outcome = measure(
                    self._kinds,
                    self._make,
                    self._sample,
                    card=self._card,
                    device=self._device,
                    check=check,
                )
        except Cancelled:
            raise
        except Exception as error:
            logger.info("no engine was measured: %r", error)
            self._disabled = True
            return
        finally:
            self._preparing.release()
        record = records.Record(outcome.chosen, outcome.trials, {})
        if self._key:
            record = records.write(self._key, outcome.chosen, outcome.trials, outcome.graphs)
        if ENGINES[outcome.chosen].precision == "float32":
            self._checked_engines.add((outcome.chosen, False))  # checked on these slices
        self._engines[outcome.chosen] = outcome.engine
        self._name, self._record, self._sample = outcome.chosen, record, None
        self._reason = "measured"

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
            "threads": None if engine is None else engine.threads,
            "slices": dict(self._used),
            "reason": self._reason,
        }

    @property
    def _undecided(self) -> bool:
        return (
            self._automatic
            and self._record is None
            and self._sample is not None
            and not self._disabled
            and len(self._kinds) > 1
        )

    def _pays(self) -> bool:
        """Return True if work done and remaining both exceed the cost of timing the engines."""
        if not self._undecided:
            return False
        cost = max(MIN_WORK_SECONDS, sum(kind.setup_seconds for kind in self._kinds))
        return self._spent > cost and self._spent / self._passes * self._left > cost

    def _checked(self, images: Tensor, maps: bool, *, real: bool = True) -> Output:
        """Run the engine; if it fails or is wrong, replace it and repeat the slices.

        Lower precision is not assessed on synthetic images (``real=False``).
        """
        name = self._name
        if maps and not ENGINES[name].maps:
            name = "eager" if not self._automatic else "fast"
        try:
            engine = self._engine(name)
            output = engine(images, maps=maps)
            if (name, maps) not in self._checked_engines:
                self._check(name, output, images, maps, real=real)
        except Exception as error:
            # Fewer slices may fit; one slice may fit into another engine.
            if name == "eager" or (out_of_memory(error) and len(images) > 1):
                raise
            if name in self._from_cache:
                self._forget(name, error)
            else:
                self._disable(name, error)
            return self._checked(images, maps, real=real)
        self._used[name] += len(images)
        return output

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            graph = None
            if self._key and self._record is not None:
                graph = records.read_graph(self._key, self._record, name)
            if graph is not None:
                self._from_cache.add(name)
            self._engines[name] = self._make(name, graph)
        return self._engines[name]

    def _make(self, name: str, graph: bytes | None) -> Engine:
        return make_engine(
            name,
            self._network,
            channels=self._card.in_channels,
            size=self._size,
            device=self._device,
            graph=graph,
        )

    def _check(self, name: str, output: Output, images: Tensor, maps: bool, *, real: bool) -> None:
        """Compare an engine with the plain network; raise `EngineError` if they differ.

        One slice is enough in float32. An engine in lower precision is compared slice by slice
        until enough structure pixels were seen on this computer.
        """
        from napari_flomo.networks import Output

        rounds = ENGINES[name].precision != "float32" and not self._is_verified(name)
        count = len(images) if rounds else 1
        truth = self._engine("eager")(images[:count], maps=maps)
        first = {key: value[:count] for key, value in output.maps.items()}
        found = Output(output.logits[:count], maps=first)
        before = self._seen.get(name) if rounds else None
        seen = check_agreement(ENGINES[name], found, truth, self._card, before)
        if rounds and not real:
            return
        if self._key and not self._automatic and self._record is None:
            self._store(name, seen.difference)
        if rounds:
            self._seen[name] = seen
            if not seen.is_sufficient:
                return
            if self._key and self._record is not None and name in self._record.trials:
                self._record = records.mark_verified(self._key, self._record, name)
        self._checked_engines.add((name, maps))

    def _is_verified(self, name: str) -> bool:
        """Return True if an engine in lower precision was compared on enough pixels."""
        if name in self._seen:
            return self._seen[name].is_sufficient
        trial = None if self._record is None else self._record.trials.get(name)
        return trial is not None and trial.sure

    def _store(self, name: str, difference: float) -> None:
        """Cache the check of an engine that was requested by name, and its graph if any."""
        dump = getattr(self._engines[name], "dump", None)
        if self._key and (dump is not None or ENGINES[name].precision != "float32"):
            trial = records.Trial(difference=difference)
            graphs = {} if dump is None else {name: dump()}
            self._record = records.write(self._key, name, {name: trial}, graphs)

    def _load_chosen(self, record: records.Record) -> None:
        """Load the fastest engine if its graph is still cached."""
        name = record.chosen
        if record.graphs and self._key:
            graph = records.read_graph(self._key, record, name)
            if graph is None:  # preparing it again takes seconds
                self._record, self._reason = None, UNMEASURED
                return
        self._name = name

    def _forget(self, name: str, error: Exception) -> None:
        """Drop a cached engine that no longer works on this computer."""
        logger.info("the cached engine %s failed and is prepared again: %r", name, error)
        if self._key:
            records.forget(self._key)
        self._engines.pop(name, None)
        self._from_cache.discard(name)
        self._seen.pop(name, None)
        self._record = None
        if (
            isinstance(error, EngineError)
            and ENGINES[name].precision != "float32"
            and self._automatic
        ):
            self._kinds = tuple(kind for kind in self._kinds if kind.name != name)
        if self._automatic:
            self._name, self._reason = "fast", UNMEASURED

    def _disable(self, name: str, error: Exception) -> None:
        """Stop using an engine."""
        logger.info("the engine %s failed and is not used: %r", name, error)
        self._engines.pop(name, None)
        self._disabled = True
        self._reason = f"{name} was not used: {error_reason(error)}"
        self._name = "fast" if self._automatic and name != "fast" else "eager"
