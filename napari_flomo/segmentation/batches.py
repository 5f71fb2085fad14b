"""Slices in batches, which become smaller when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import Cancelled, FlomoError, out_of_gpu_memory, out_of_memory
from napari_flomo.models import ModelCard
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.segmentation.device import is_gpu
from napari_flomo.segmentation.engines import EngineRunner
from napari_flomo.segmentation.inputs import with_channels
from napari_flomo.segmentation.manifest import StageTimer
from napari_flomo.segmentation.preprocessing import Plan, intensity_window, network_input
from napari_flomo.segmentation.resampling import Floats
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from napari_flomo.segmentation.prediction import Prediction

# Pixels in a batch. On a CPU large batches are slower per slice, because their feature maps do not
# fit into the cache, and take longer to cancel; on a GPU small batches leave most of it idle.
CPU_PIXELS = 2 * 256 * 256
GPU_PIXELS = 64 * 256 * 256


class ProgressSteps:
    """Counts passes over slices, reports progress and checks for cancellation."""

    def __init__(
        self, total: int, progress: ProgressCallback | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self._total, self._done, self._told = total, 0, -1
        self._progress, self._cancelled = progress, cancelled
        self._tell(0)

    def check(self) -> None:
        """Raise `Cancelled` if requested."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def within(self, slices: int) -> Callable[[int], None]:
        """Return a callback for before each pass over a batch of this many slices."""

        def before(number: int) -> None:
            if number > 0:  # checked before the first one
                self._tell(self._done + number * slices)
                self.check()

        return before

    def finish(self, passes: int) -> None:
        """Count the passes of a finished batch."""
        self._done += passes
        self._tell(self._done)

    def _tell(self, done: int) -> None:
        """Report progress, never backwards: a batch that did not fit is repeated."""
        if self._progress is not None and done > self._told:
            self._progress(Progress(done, self._total, "Segmenting"))
            self._told = done


@dataclass
class Batches:
    """Predicts the slices of one frame after the other.

    Attributes
    ----------
    card, plan, device
        As for `network_input`.
    runner
        The engine, which may want batches of a certain size.
    predict
        Takes images and ``before_pass``, as `prediction.predict`.
    steps, watch
        Progress, and times of the stages.
    size
        Slices in the latest batch, at most.
    """

    card: ModelCard
    plan: Plan
    device: str
    runner: EngineRunner
    predict: Callable[..., Prediction]
    steps: ProgressSteps
    watch: StageTimer
    size: int = 0
    _limit: int | None = None

    def of_frame(self, frame: Volume, slices: list[int]) -> Iterator[tuple[list[int], Prediction]]:
        """Yield the slices of each batch of a frame with their prediction."""
        with self.watch.stage("preprocess"):
            pixels = with_channels(frame, self.card)
            window = intensity_window(pixels, self.card.preprocessing.intensity)
        waiting = slices
        while waiting:
            wanted = self.runner.batch or self._usual_size()
            self.size = min(len(slices), wanted, self._limit or wanted)
            batch = waiting[: self.size]
            self.steps.check()
            try:
                images = self._images(pixels, batch, window)
                prediction = self.predict(images, before_pass=self.steps.within(len(batch)))
            except Exception as error:
                if not out_of_memory(error):
                    raise
                self._halve(len(batch), error)
                continue
            yield batch, prediction
            waiting = waiting[len(batch) :]

    def _images(self, pixels: Any, batch: list[int], window: Any) -> Floats:
        neighbours = self.card.preprocessing.neighbours
        with self.watch.stage("preprocess"):
            return network_input(pixels, batch, window, self.plan, neighbours)

    def _usual_size(self) -> int:
        rows, columns = self.plan.network
        pixels = GPU_PIXELS if is_gpu(self.device) else CPU_PIXELS
        return max(1, pixels // (rows * columns))

    def _halve(self, tried: int, error: Exception) -> None:
        """Halve the batch that did not fit, or raise if it was a single slice."""
        if is_gpu(self.device):
            import torch

            torch.cuda.empty_cache()
        if tried == 1 and not out_of_gpu_memory(error):
            raise error
        if tried == 1:
            raise FlomoError(
                f"The memory of {self.device} is too small even for one slice; close other "
                "programs that use it, or choose the device cpu."
            ) from error
        self._limit = tried // 2
