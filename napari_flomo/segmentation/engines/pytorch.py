"""Engines of PyTorch: plain, rewritten, compiled, and in mixed precision."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation.device import is_gpu
from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.registry import ENGINES, EngineKind
from napari_flomo.segmentation.engines.tracing import fast_copy, logits_only, tracing
from napari_flomo.segmentation.maps import DRAWS, DRAWS_SEED
from napari_flomo.segmentation.output import Output
from napari_flomo.segmentation.resampling import Floats
from napari_flomo.segmentation.threads import threads

if TYPE_CHECKING:
    from torch import Tensor, nn

COMPILED_BATCH = {"cpu": 1, "cuda": 8}
"""Fixed number of slices of a compiled graph; the last batch is padded."""


class TorchEngine:
    """The network in PyTorch: ``eager``, ``bf16`` or ``fp16``."""

    batch = None

    def __init__(self, kind: EngineKind, network: nn.Module, device: str) -> None:
        import torch

        self.kind = kind
        self.threads = threads()
        self._plain = network
        self._device = device
        self._lower = None if kind.precision == "float32" else getattr(torch, kind.precision)

    @cached_property
    def _network(self) -> nn.Module:
        return self._plain if self.kind.name == "eager" else fast_copy(self._plain)

    def __call__(self, images: Floats, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        import torch

        with torch.inference_mode():
            pixels = on_device(images, self._device)
            if self._lower is None:
                return as_output(self._network(pixels), maps=maps)
            with torch.autocast(pixels.device.type, dtype=self._lower):
                output = as_output(self._network(pixels), maps=maps)
        if not np.isfinite(output.logits).all():
            raise EngineError("its logits are not finite")
        return output


class Draws:
    """Passes of a network with fixed samples of its Monte Carlo attention.

    Raises `FlomoError` if it has none; ``name`` is that of the model and ``asked`` that of the map.
    """

    def __init__(self, network: nn.Module, device: str, name: str, asked: str) -> None:
        from napari_flomo import networks

        if not networks.can_sample(network):
            raise FlomoError(
                f"The network of {name} has no map {asked!r}, because it has no Monte Carlo "
                "attention; choose variance or another map that every network has."
            )
        self._draws = networks.Draws(network, DRAWS, DRAWS_SEED)
        self._device = device

    def __len__(self) -> int:
        return len(self._draws)

    def __call__(self, images: Floats, number: int) -> Output:
        """Return the output of one pass."""
        import torch

        with torch.inference_mode():
            return as_output(self._draws(on_device(images, self._device), number))


class CompiledEngine:
    """The rewritten network through ``torch.compile``; with CUDA graphs on a GPU."""

    kind = ENGINES["compile"]

    def __init__(self, network: nn.Module, device: str) -> None:
        import torch

        self.threads = threads()
        self._device, self._graphs = device, is_gpu(device)
        self.batch = COMPILED_BATCH.get(device.partition(":")[0], 1)
        mode = "reduce-overhead" if self._graphs else "default"
        with tracing():
            self._run = torch.compile(logits_only(network), mode=mode, dynamic=False)

    def __call__(self, images: Floats, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        import torch

        if maps:
            raise EngineError("it has no maps")
        found = []
        with tracing():  # the compiler does not accept inference tensors
            pixels = on_device(images, self._device)
            for start in range(0, len(pixels), self.batch):
                some = pixels[start : start + self.batch].clone()
                real = len(some)
                if real < self.batch:
                    some = torch.cat([some, some[-1:].expand(self.batch - real, -1, -1, -1)])
                if self._graphs:
                    torch.compiler.cudagraph_mark_step_begin()
                some = some.contiguous(memory_format=torch.channels_last)
                # A CUDA graph reuses the memory of its result.
                found.append(self._run(some)[:real].clone())
            return Output(torch.cat(found).cpu().numpy())


def on_device(images: Floats, device: str) -> Tensor:
    """Return images as a tensor in the layout that is fastest for depthwise convolutions."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images)).to(
        device, memory_format=torch.channels_last
    )


def as_output(output: Any, *, maps: bool = False) -> Output:
    """Return the output of a network on any device as arrays in float32."""

    def array(tensor: Tensor) -> Floats:
        found: Floats = tensor.detach().float().cpu().contiguous().numpy()
        return found

    seen = getattr(output, "maps", {}) if maps else {}
    return Output(array(output.logits), {name: array(one) for name, one in seen.items()})
