"""Engines of PyTorch: plain, rewritten, compiled, and in mixed precision."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.registry import ENGINES, EngineKind
from napari_flomo.segmentation.engines.tracing import fast_copy, logits_only, tracing

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_flomo.networks import Output

COMPILED_BATCH = {"cpu": 1, "cuda": 8}
"""Fixed number of slices of a compiled graph; the last batch is padded."""


class TorchEngine:
    """The network in PyTorch: ``eager``, ``fast``, ``bf16`` or ``fp16``."""

    batch = None

    def __init__(self, kind: EngineKind, network: nn.Module, device: torch.device) -> None:
        import torch

        self.kind = kind
        self.threads = torch.get_num_threads()
        self._plain = network
        self._device = device
        self._lower = None if kind.precision == "float32" else getattr(torch, kind.precision)

    @cached_property
    def _network(self) -> nn.Module:
        return self._plain if self.kind.name == "eager" else fast_copy(self._plain)

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        import torch

        from napari_flomo.networks import Output

        if self._lower is None:
            output = self._network(images)
        else:
            with torch.autocast(self._device.type, dtype=self._lower):
                output = self._network(images)
            if not torch.isfinite(output.logits).all():
                raise EngineError("its logits are not finite")
        found = (
            {name: one.float() for name, one in getattr(output, "maps", {}).items()} if maps else {}
        )
        return Output(output.logits.float(), maps=found)


class CompiledEngine:
    """The rewritten network through ``torch.compile``; with CUDA graphs on a GPU."""

    kind = ENGINES["compile"]

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        import torch

        self.threads = torch.get_num_threads()
        self._graphs = device.type == "cuda"
        self.batch = COMPILED_BATCH.get(device.type, 1)
        mode = "reduce-overhead" if self._graphs else "default"
        with tracing():
            self._run = torch.compile(logits_only(network), mode=mode, dynamic=False)

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        import torch

        from napari_flomo.networks import Output

        if maps:
            raise EngineError("it has no maps")
        found = []
        with tracing():  # the compiler does not accept inference tensors
            for start in range(0, len(images), self.batch):
                some = images[start : start + self.batch].clone()
                real = len(some)
                if real < self.batch:
                    some = torch.cat([some, some[-1:].expand(self.batch - real, -1, -1, -1)])
                if self._graphs:
                    torch.compiler.cudagraph_mark_step_begin()
                some = some.contiguous(memory_format=torch.channels_last)
                # A CUDA graph reuses the memory of its result.
                found.append(self._run(some)[:real].clone())
        return Output(torch.cat(found))
