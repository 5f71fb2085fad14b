"""A volume walks in; labels, probabilities and uncertainty come out on its own grid."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard, load_network
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.segmentation.assembly import Assembly
from napari_flomo.segmentation.device import choose_device
from napari_flomo.segmentation.engines import Runner, chosen_engine, out_of_memory
from napari_flomo.segmentation.inputs import check_input, chosen_indices, with_channels
from napari_flomo.segmentation.manifest import Stopwatch, run_manifest
from napari_flomo.segmentation.maps import DEFAULT_MAPS, chosen_maps, passes_of
from napari_flomo.segmentation.orientation import Turn
from napari_flomo.segmentation.prediction import draws_for, predict
from napari_flomo.segmentation.preprocessing import (
    Plan,
    intensity_window,
    make_plan,
    network_input,
)
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    import torch
    from torch import nn

# Pixels that go through the network together. On a CPU large batches are slower per slice (their
# feature maps leave the cache and are paged in anew each time), and a small one can be cancelled
# sooner; on a GPU small batches leave most of it idle.
CPU_PIXELS = 2 * 256 * 256
GPU_PIXELS = 64 * 256 * 256

KEPT_SIZES = 4
"""Sizes of images whose engines stay in memory; without a crop every volume may have its own."""


class Segmenter:
    """A network with its card, ready to segment.

    Parameters
    ----------
    network
        Takes ``(N, C, H, W)`` and returns an object with ``logits``.
    card
        Decides everything that is done before and after the network.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    engine
        What runs the network, of `napari_flomo.segmentation.engines.CHOICES`. The default is the
        plain network; `from_pretrained` takes ``"auto"``. Every other engine works on a copy of
        the network: what is learnt later does not reach it.

    Examples
    --------
    >>> segmenter = Segmenter.from_pretrained("flomo-b0-acdc")  # doctest: +SKIP
    >>> segmentation = segmenter.segment(read("heart.nii.gz"))  # doctest: +SKIP
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        device: str | torch.device = "auto",
        engine: str = "eager",
    ) -> None:
        import torch

        self.card = card
        self.device = choose_device(device)
        self.engine = chosen_engine(engine, self.device)
        self._weights: str | None = None  # their SHA-256, once it was verified
        self._runners: OrderedDict[tuple[int, int], Runner] = OrderedDict()
        # Several times faster than NCHW for depthwise and dilated convolutions.
        layout = torch.channels_last
        self.network = network.to(self.device).to(memory_format=layout).eval()  # type: ignore[call-overload]

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        device: str | torch.device = "auto",
        engine: str = "auto",
    ) -> Segmenter:
        """Load a model by name or folder.

        Parameters
        ----------
        model
            Name of a model, or a folder with ``card.json`` and ``model.safetensors``.
        device
            ``"auto"`` takes the GPU if there is one.
        engine
            What runs the network. ``"auto"`` is the fastest of those that compute in float32, whose
            labels are the plain network's save ties; see ``docs/engines.md``.

        Raises
        ------
        FlomoError
            If there is no such model, device or engine, or the model is damaged.
        """
        chosen = choose_device(device)
        network, card = load_network(model, chosen)
        segmenter = cls(network, card, chosen, engine)
        segmenter._weights = card.sha256
        return segmenter

    def segment(
        self,
        volume: Volume,
        slices: Iterable[int] | None = None,
        frames: Iterable[int] | None = None,
        progress: ProgressCallback | None = None,
        cancelled: Callable[[], bool] | None = None,
        *,
        keep_probabilities: bool | None = None,
        maps: Iterable[str] = DEFAULT_MAPS,
        mirrored: bool = False,
    ) -> Segmentation:
        """Segment a volume, all of it or some slices and frames.

        The labels come from one plain pass of the network, or from the mean over mirrored views,
        and are the same whichever maps are asked for.

        Memory beyond the volume: 1 byte per voxel for labels and 4 for each map, 4 more per class
        for probabilities if they are kept, and one frame in float32. A cine of 30 x 12 x 512 x 512
        takes 0.5 GB, with its four probabilities 1.5 GB more.

        Parameters
        ----------
        volume
            As the card wants it: a stack of slices in grey, or a photo.
        slices, frames
            Indices to segment, counted from 0; all by default. Intensities are judged over the
            whole frame all the same, so the result does not depend on the choice. Only what the
            card wants done to finished labels needs whole frames; it is left out otherwise, and
            the manifest says so.
        progress
            Called with passes of the network over a slice, done and in total, first with 0. With
            the maps of one pass these are slices.
        cancelled
            Asked before every pass over a batch of slices; True ends the work.
        keep_probabilities
            Whether to return them; by default only for a volume with one frame.
        maps
            Names of the uncertainty maps to return, of `napari_flomo.segmentation.MAPS`.
        mirrored
            Whether probabilities, and with them labels, entropy and scores, are the mean over the
            slice and its three mirror images: four times the passes for better labels, see
            ``docs/benchmarks/accuracy.md``.

        Returns
        -------
        Segmentation
            On the grid of ``volume``.

        Raises
        ------
        Cancelled
            If ``cancelled`` said so.
        FlomoError
            If the volume is not what the model takes, an index or a map does not exist, or even
            one slice does not fit into the GPU's memory.
        """
        import torch

        card, watch = self.card, Stopwatch()
        kinds = chosen_maps(maps)
        check_input(volume, card)
        draws = draws_for(kinds, self.network, card.name)
        chosen_frames = chosen_indices(frames, volume.n_frames, "frame")
        chosen_slices = chosen_indices(slices, volume.n_slices, "slice")
        turn = Turn.of(volume.geometry)
        seen = turn.volume(volume)
        plan = make_plan(seen.spatial_shape[1:], seen.in_plane_spacing, card.preprocessing)
        if keep_probabilities is None:
            keep_probabilities = volume.n_frames == 1
        names = [kind.name for kind in kinds]
        result = Assembly(seen, card, keep_probabilities, names)
        tidy = card.postprocessing != "none" and len(chosen_slices) == volume.n_slices

        passes = passes_of(names, mirrored=mirrored)
        steps = _Steps(len(chosen_frames) * len(chosen_slices) * passes, progress, cancelled)
        runner = self._runner(plan.network)
        by_engine = passes - (0 if draws is None else len(draws))
        runner.expect(len(chosen_frames) * len(chosen_slices) * by_engine, steps.check)
        usual, batch = self._first_batch(plan), 0
        most = len(chosen_slices)
        with torch.inference_mode():
            for frame in chosen_frames:
                with watch.stage("preprocess"):
                    pixels = with_channels(seen.frame(frame), card)
                    window = intensity_window(pixels, card.preprocessing.intensity)
                waiting = sorted(turn.slices(chosen_slices, volume.n_slices))
                while waiting:
                    batch = min(most, runner.batch or usual)
                    now = waiting[:batch]
                    steps.check()
                    try:
                        with watch.stage("preprocess"):
                            images = network_input(
                                pixels, now, window, plan, card.preprocessing.neighbours
                            ).to(self.device, memory_format=torch.channels_last)
                        prediction = predict(
                            runner,
                            card,
                            images,
                            plan,
                            kinds=kinds,
                            watch=watch,
                            before_pass=steps.within(len(now)),
                            draws=draws,
                            mirrored=mirrored,
                        )
                    except Exception as error:
                        if not out_of_memory(error):
                            raise
                        most = self._smaller_batch(len(now), error)
                        continue
                    with watch.stage("restore"):
                        result.put(frame, now, prediction)
                    waiting = waiting[len(now) :]
                    steps.finish(len(now) * passes)
                if tidy:
                    with watch.stage("postprocess"):
                        result.tidy(frame)
        manifest = run_manifest(
            volume,
            card,
            self.device,
            engine=runner.report(),
            frames=chosen_frames,
            slices=chosen_slices,
            batch=batch,
            maps=names,
            mirrored=mirrored,
            postprocessed=tidy,
            stopwatch=watch,
        )
        return turn.segmentation(result.finish(manifest), volume)

    def warm_up(self) -> None:
        """Load the engine, so that the first slice takes no longer than the others.

        For a program that waits for work. Does nothing where the size of images is not known.
        """
        side = self.card.preprocessing.crop
        if side is not None:
            self._runner((side, side)).warm_up()

    def settle_engine(self) -> None:
        """Find the fastest engine for what was segmented last, where that is not known yet.

        Takes seconds, so it is for when nobody waits; may be called in another thread. Needs
        ``"auto"`` or ``"fastest"``, and does nothing otherwise.
        """
        for runner in list(self._runners.values()):
            runner.settle()

    def _runner(self, size: tuple[int, int]) -> Runner:
        """Return what runs the network on images of this size."""
        if size not in self._runners:
            while len(self._runners) >= KEPT_SIZES:
                self._runners.popitem(last=False)
            self._runners[size] = Runner(
                self.network,
                self.card,
                size,
                device=self.device,
                asked=self.engine,
                weights=self._weights,
            )
        self._runners.move_to_end(size)
        return self._runners[size]

    def _first_batch(self, plan: Plan) -> int:
        rows, columns = plan.network
        pixels = CPU_PIXELS if self.device.type == "cpu" else GPU_PIXELS
        return max(1, pixels // (rows * columns))

    def _smaller_batch(self, tried: int, error: Exception) -> int:
        """Return half the batch that did not fit; nothing is smaller than one slice."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if tried == 1 and not isinstance(error, torch.cuda.OutOfMemoryError):
            raise error
        if tried == 1:
            raise FlomoError(
                f"The memory of {self.device} is too small even for one slice; close other "
                "programs that use it, or choose the device cpu."
            ) from error
        return tried // 2


class _Steps:
    """Counts passes over slices: tells how many are done, and asks whether to go on."""

    def __init__(
        self,
        total: int,
        progress: ProgressCallback | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._total, self._done, self._told = total, 0, -1
        self._progress, self._cancelled = progress, cancelled
        self._tell(0)

    def check(self) -> None:
        """Raise `Cancelled` if that is wanted."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def within(self, slices: int) -> Callable[[int], None]:
        """Return what to call before each pass over a batch of so many slices."""

        def before(number: int) -> None:
            if number > 0:  # before the first one it was asked already
                self._tell(self._done + number * slices)
                self.check()

        return before

    def finish(self, passes: int) -> None:
        """Take note that a batch is done."""
        self._done += passes
        self._tell(self._done)

    def _tell(self, done: int) -> None:
        """Report, but never backwards: a batch that did not fit begins anew."""
        if self._progress is not None and done > self._told:
            self._progress(Progress(done, self._total, "Segmenting"))
            self._told = done
