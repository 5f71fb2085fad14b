"""Runs a network on images of one size with the engine that suits best, and never fails for it."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import Cancelled
from napari_flomo.models.card import ModelCard
from napari_flomo.segmentation.engines import records
from napari_flomo.segmentation.engines.checking import Agreement, demand_agreement
from napari_flomo.segmentation.engines.engine import Engine, EngineFault, out_of_memory
from napari_flomo.segmentation.engines.factory import make_engine
from napari_flomo.segmentation.engines.measuring import fault_of, measure
from napari_flomo.segmentation.engines.registry import ENGINES, candidates
from napari_flomo.segmentation.engines.tracing import example

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_flomo.networks import Output

SAMPLE = 4
"""Slices to compare and time engines with."""

LEAST_WORK = 2.0
"""Seconds of work behind and ahead, below which no engine is looked for in the middle of it."""

UNMEASURED = "no other was measured yet"

logger = logging.getLogger(__name__)


class Runner:
    """A network and its engines.

    With ``"auto"`` and ``"fastest"`` work begins at once, with the rewritten network. Other engines
    take seconds to prepare: that is done in the middle of long work, when as much time as they
    would take has passed and as much again is to come, or by `settle`, when nobody waits. What
    comes out of it is kept, so that it is done once on a computer; a prepared engine is taken up
    when the time it saves is more than it takes to load.

    Parameters
    ----------
    network
        In evaluation mode, on ``device``.
    card
        Of the network.
    size
        Rows and columns of the images.
    device
        Where to compute.
    asked
        From `chosen_engine`.
    weights
        SHA-256 of the network's weights, if it is known for sure; None: nothing is kept.
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
        self._free = asked in ("auto", "fastest")
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
        self._kept: set[str] = set()  # those that were made from a kept graph
        self._name = "fast" if self._free else asked
        self._gave_up = False
        self._trusted = {("eager", False), ("eager", True)}  # names, with maps or without
        self._seen: dict[str, Agreement] = {}  # of engines of fewer bits, until it suffices
        self._sample: Tensor | None = None
        self._preparing = threading.Lock()
        self._reason = "asked for"
        if self._free:
            self._reason = UNMEASURED if self._record is None else "measured"
        self._left, self._spent, self._passes = 0, 0.0, 0
        self._used: Counter[str] = Counter()
        self._check_stop: Callable[[], None] | None = None

    @property
    def batch(self) -> int | None:
        """Slices that the engine likes to be given together; None leaves it to the caller."""
        return self._engines[self._name].batch if self._name in self._engines else None

    def expect(self, passes: int, check: Callable[[], None] | None = None) -> None:
        """Take note of how many passes over slices come now; a faster engine may be worth loading.

        Loading one that was prepared on this computer takes a fraction of a second.

        Parameters
        ----------
        passes
            Slices, each as often as the network will see it.
        check
            Called while engines are prepared in the middle of the work; may raise to end it.
        """
        self._left, self._used, self._check_stop = passes, Counter(), check
        record = self._record
        if not self._free or record is None or record.chosen == self._name or self._gave_up:
            return
        best, now = record.trials[record.chosen], record.trials.get(self._name)
        if best.seconds is None or now is None or now.seconds is None:
            return
        if (now.seconds - best.seconds) * passes > (best.load or 0.0):
            self._take_up(record)

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Return what the network says of some slices, on any engine.

        Parameters
        ----------
        images
            ``(slices, channels, rows, columns)``, float32, on the device.
        maps
            Whether the network's own maps are wanted, too.
        """
        start = perf_counter()
        output = self._checked(images, maps)
        if self._free and self._record is None and self._sample is None:
            self._sample = images[:SAMPLE].clone()
        self._spent += perf_counter() - start
        self._passes += len(images)
        self._left -= len(images)
        if self._pays():
            self.settle(self._check_stop)
        return output

    def warm_up(self) -> None:
        """Load the engine that was found the fastest, and let it see a slice.

        For a program that waits for work: its first slice then takes no longer than the others.
        """
        import torch

        if self._free and self._record is not None:
            self._take_up(self._record)
        with torch.inference_mode():
            images = example(self._card.in_channels, self._size).to(self._device)
            self._checked(images, False, real=False)

    def settle(self, check: Callable[[], None] | None = None) -> None:
        """Find the fastest engine, where that is not known yet; takes seconds.

        Needs slices that the network has seen; does nothing before. May be called in another thread
        while the network runs.

        Parameters
        ----------
        check
            Called before each engine is prepared; may raise `Cancelled`.
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
            self._gave_up = True
            return
        finally:
            self._preparing.release()
        record = records.Record(outcome.chosen, outcome.trials, {})
        if self._key:
            record = records.write(self._key, outcome.chosen, outcome.trials, outcome.graphs)
        if ENGINES[outcome.chosen].precision == "float32":
            self._trusted.add((outcome.chosen, False))  # it was checked on these slices
        self._engines[outcome.chosen] = outcome.engine
        self._name, self._record, self._sample = outcome.chosen, record, None
        self._reason = "measured"

    def report(self) -> dict[str, Any]:
        """Return what a manifest tells of the engine, in plain JSON types.

        Returns
        -------
        dict
            ``asked``; ``name``, ``precision`` and ``threads`` of the engine that did the last
            slices; ``slices``, how many each engine did; ``reason``, why it was taken.
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
            self._free
            and self._record is None
            and self._sample is not None
            and not self._gave_up
            and len(self._kinds) > 1
        )

    def _pays(self) -> bool:
        """Tell whether as much time has passed, and is to come, as finding an engine takes."""
        if not self._undecided:
            return False
        cost = max(LEAST_WORK, sum(kind.setup_seconds for kind in self._kinds))
        return self._spent > cost and self._spent / self._passes * self._left > cost

    def _checked(self, images: Tensor, maps: bool, *, real: bool = True) -> Output:
        """Run the engine; one that fails or is wrong is replaced, and the slices are done again.

        Images that are not real tell nothing of how far labels move.
        """
        name = self._name
        if maps and not ENGINES[name].maps:
            name = "eager" if not self._free else "fast"
        try:
            engine = self._engine(name)
            output = engine(images, maps=maps)
            if (name, maps) not in self._trusted:
                self._check(name, output, images, maps, real=real)
        except Exception as error:
            # Fewer slices may fit; one slice may fit into another engine.
            if name == "eager" or (out_of_memory(error) and len(images) > 1):
                raise
            if name in self._kept:
                self._forget(name, error)
            else:
                self._give_up(name, error)
            return self._checked(images, maps, real=real)
        self._used[name] += len(images)
        return output

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            graph = None
            if self._key and self._record is not None:
                graph = records.read_graph(self._key, self._record, name)
            if graph is not None:
                self._kept.add(name)
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
        """Compare an engine with what the plain network says of the same slices.

        One slice tells whether an engine in float32 is right. One of fewer bits is compared slice
        by slice until enough of a heart was seen on this computer.

        Raises
        ------
        EngineFault
            If they differ.
        """
        from napari_flomo.networks import Output

        rounds = ENGINES[name].precision != "float32" and not self._is_sure(name)
        count = len(images) if rounds else 1
        truth = self._engine("eager")(images[:count], maps=maps)
        first = {key: value[:count] for key, value in output.maps.items()}
        found = Output(output.logits[:count], maps=first)
        before = self._seen.get(name) if rounds else None
        seen = demand_agreement(ENGINES[name], found, truth, self._card, before)
        if rounds and not real:
            return
        if self._key and not self._free and self._record is None:
            self._keep(name, seen.difference)
        if rounds:
            self._seen[name] = seen
            if not seen.suffices:
                return
            if self._key and self._record is not None and name in self._record.trials:
                self._record = records.mark_sure(self._key, self._record, name)
        self._trusted.add((name, maps))

    def _is_sure(self, name: str) -> bool:
        """Tell whether an engine of fewer bits was compared on enough of a heart."""
        if name in self._seen:
            return self._seen[name].suffices
        trial = None if self._record is None else self._record.trials.get(name)
        return trial is not None and trial.sure

    def _keep(self, name: str, difference: float) -> None:
        """Keep what was seen of an engine that was asked for by name, and its graph if it has one.

        What is known of an engine without a graph matters only if it took long to find out.
        """
        dump = getattr(self._engines[name], "dump", None)
        if self._key and (dump is not None or ENGINES[name].precision != "float32"):
            trial = records.Trial(difference=difference)
            graphs = {} if dump is None else {name: dump()}
            self._record = records.write(self._key, name, {name: trial}, graphs)

    def _take_up(self, record: records.Record) -> None:
        """Load the engine that was found to be the fastest, if its graph is still there."""
        name = record.chosen
        if record.graphs and self._key:
            graph = records.read_graph(self._key, record, name)
            if graph is None:  # making it again takes seconds, which is not for now
                self._record, self._reason = None, UNMEASURED
                return
        self._name = name

    def _forget(self, name: str, error: Exception) -> None:
        """Go on as if an engine had never been kept: this computer is not what it was then."""
        logger.info("the kept engine %s failed and is made anew: %r", name, error)
        if self._key:
            records.forget(self._key)
        self._engines.pop(name, None)
        self._kept.discard(name)
        self._seen.pop(name, None)
        self._record = None
        if isinstance(error, EngineFault) and ENGINES[name].precision != "float32" and self._free:
            self._kinds = tuple(kind for kind in self._kinds if kind.name != name)
        if self._free:
            self._name, self._reason = "fast", UNMEASURED

    def _give_up(self, name: str, error: Exception) -> None:
        """Go on without an engine."""
        logger.info("the engine %s failed and is not used: %r", name, error)
        self._engines.pop(name, None)
        self._gave_up = True
        self._reason = f"{name} was not used: {fault_of(error)}"
        self._name = "fast" if self._free and name != "fast" else "eager"
