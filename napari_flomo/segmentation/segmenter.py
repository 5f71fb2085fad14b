"""A volume walks in; labels, probabilities and uncertainty come out on its own grid."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard, load_network
from napari_flomo.segmentation.device import choose_device
from napari_flomo.segmentation.inputs import check_input, chosen_indices, with_channels
from napari_flomo.segmentation.manifest import Stopwatch, run_manifest
from napari_flomo.segmentation.postprocessing import keep_largest_component
from napari_flomo.segmentation.preprocessing import (
    Plan,
    intensity_window,
    make_plan,
    restore,
    to_network,
)
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.segmentation.uncertainty import PLAUSIBLE, predictive_entropy, slice_doubt
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# Pixels that go through the network together. On a CPU large batches are slower per slice (their
# feature maps leave the cache and are paged in anew each time), and a small one can be cancelled
# sooner; on a GPU small batches leave most of it idle.
CPU_PIXELS = 2 * 256 * 256
GPU_PIXELS = 64 * 256 * 256


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

    Examples
    --------
    >>> segmenter = Segmenter.from_pretrained("flomo-b0-acdc")  # doctest: +SKIP
    >>> segmentation = segmenter.segment(read("heart.nii.gz"))  # doctest: +SKIP
    """

    def __init__(
        self, network: nn.Module, card: ModelCard, device: str | torch.device = "auto"
    ) -> None:
        import torch

        self.card = card
        self.device = choose_device(device)
        # Several times faster than NCHW for depthwise and dilated convolutions.
        layout = torch.channels_last
        self.network = network.to(self.device).to(memory_format=layout).eval()  # type: ignore[call-overload]

    @classmethod
    def from_pretrained(
        cls, model: str | os.PathLike[str], device: str | torch.device = "auto"
    ) -> Segmenter:
        """Load a model by name or folder.

        Parameters
        ----------
        model
            Name of a model, or a folder with ``card.json`` and ``model.safetensors``.
        device
            ``"auto"`` takes the GPU if there is one.

        Raises
        ------
        FlomoError
            If there is no such model or device, or the model is damaged.
        """
        chosen = choose_device(device)
        network, card = load_network(model, chosen)
        return cls(network, card, chosen)

    def segment(
        self,
        volume: Volume,
        slices: Iterable[int] | None = None,
        frames: Iterable[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        *,
        keep_probabilities: bool | None = None,
    ) -> Segmentation:
        """Segment a volume, all of it or some slices and frames.

        Memory beyond the volume: 5 bytes per voxel for labels and entropy, 4 more per class for
        probabilities if they are kept, and one frame in float32. A cine of 30 x 12 x 512 x 512
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
            Called with slices done and slices in total, first with 0.
        cancelled
            Asked before every batch of slices; True ends the work.
        keep_probabilities
            Whether to return them; by default only for a volume with one frame.

        Returns
        -------
        Segmentation
            On the grid of ``volume``.

        Raises
        ------
        Cancelled
            If ``cancelled`` said so.
        FlomoError
            If the volume is not what the model takes, an index does not exist, or even one slice
            does not fit into the GPU's memory.
        """
        import torch

        card, watch = self.card, Stopwatch()
        check_input(volume, card)
        chosen_frames = chosen_indices(frames, volume.n_frames, "frame")
        chosen_slices = chosen_indices(slices, volume.n_slices, "slice")
        spacing = volume.in_plane_spacing
        shape = volume.spatial_shape
        plan = make_plan(shape[1:], spacing, card.preprocessing)
        if keep_probabilities is None:
            keep_probabilities = volume.n_frames == 1
        result = _Result(volume.n_frames, shape, card, keep_probabilities)
        tidy = card.postprocessing != "none" and len(chosen_slices) == volume.n_slices

        done, total = 0, len(chosen_frames) * len(chosen_slices)
        report = progress or (lambda _done, _total: None)
        report(0, total)
        batch = self._first_batch(plan)
        with torch.inference_mode():
            for frame in chosen_frames:
                with watch.stage("preprocess"):
                    pixels = with_channels(volume.frame(frame), card)
                    window = intensity_window(pixels, card.preprocessing.intensity)
                waiting = chosen_slices
                while waiting:
                    if cancelled is not None and cancelled():
                        raise Cancelled
                    now = waiting[:batch]
                    try:
                        probabilities = self._predict(pixels[now], window, plan, watch)
                    except torch.cuda.OutOfMemoryError as error:
                        batch = self._smaller_batch(len(now), error)
                        continue
                    with watch.stage("restore"):
                        result.put(frame, now, probabilities, spacing)
                    waiting = waiting[len(now) :]
                    done += len(now)
                    report(done, total)
                if tidy:
                    with watch.stage("postprocess"):
                        result.tidy(frame)
        manifest = run_manifest(
            volume,
            card,
            self.device,
            frames=chosen_frames,
            slices=chosen_slices,
            batch=batch,
            postprocessed=tidy,
            stopwatch=watch,
        )
        return result.finish(volume, manifest)

    def _predict(
        self,
        pixels: NDArray[Any],
        window: tuple[float, float],
        plan: Plan,
        watch: Stopwatch,
    ) -> Tensor:
        """Return the probabilities of some slices on the native grid, on the CPU."""
        import torch

        with watch.stage("preprocess"):
            images = to_network(pixels, window, plan).to(
                self.device, memory_format=torch.channels_last
            )
        with watch.stage("network"):
            logits = self.network(images).logits.float() / self.card.temperature
            softmax = self.card.activation == "softmax"
            probabilities = logits.softmax(1) if softmax else logits.sigmoid()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # else its time is booked on the next stage
        with watch.stage("restore"):
            return restore(probabilities, plan, 0 if softmax else None).cpu()

    def _first_batch(self, plan: Plan) -> int:
        rows, columns = plan.network
        pixels = CPU_PIXELS if self.device.type == "cpu" else GPU_PIXELS
        return max(1, pixels // (rows * columns))

    def _smaller_batch(self, tried: int, error: Exception) -> int:
        """Return half the batch that did not fit; nothing is smaller than one slice."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if tried == 1:
            raise FlomoError(
                f"The memory of {self.device} is too small even for one slice; close other "
                "programs that use it, or choose the device cpu."
            ) from error
        return tried // 2


class _Result:
    """The arrays of a segmentation while they fill up."""

    def __init__(
        self, n_frames: int, shape: tuple[int, int, int], card: ModelCard, keep: bool
    ) -> None:
        grid = (n_frames, *shape)
        self.card = card
        self.codes = np.array([label.code for label in card.classes], np.uint8)
        self.labels = np.zeros(grid, np.uint8)
        self.entropy = np.zeros(grid, np.float32)
        self.scores = np.full(grid[:2], np.nan, np.float32)
        self.probabilities = np.zeros((len(self.codes), *grid), np.float32) if keep else None

    def put(
        self, frame: int, slices: list[int], probabilities: Tensor, spacing: tuple[float, float]
    ) -> None:
        """Take in the probabilities ``(slices, classes, rows, columns)`` of some slices."""
        softmax = self.card.activation == "softmax"
        best, winner = probabilities.max(1)
        labels = self.codes[winner.numpy()]
        if softmax:
            plausible = (1 - probabilities[:, 0] >= PLAUSIBLE).numpy()
        else:
            labels[best.numpy() < self.card.threshold] = 0
            plausible = (best >= PLAUSIBLE).numpy()
        entropy = predictive_entropy(probabilities, self.card.activation).numpy()
        self.labels[frame, slices] = labels
        self.entropy[frame, slices] = entropy
        self.scores[frame, slices] = slice_doubt(labels, entropy, plausible, spacing)
        if self.probabilities is not None:
            for index in range(len(self.codes)):
                self.probabilities[index, frame, slices] = probabilities[:, index].numpy()

    def tidy(self, frame: int) -> None:
        """Do to the labels of a whole frame what the card asks; doubt and probabilities stay.

        A piece that is taken away keeps its entropy and counts in the slice's score: a reviewer
        should still look there.
        """
        self.labels[frame] = keep_largest_component(self.labels[frame], self.codes[self.codes > 0])

    def finish(self, volume: Volume, manifest: dict[str, Any]) -> Segmentation:
        """Put the arrays on the grid of the volume."""
        axes = tuple(name for name in volume.axes if name != "channels")
        moving = "frames" in axes

        def on_grid(array: NDArray[Any]) -> Volume:
            return volume.with_data(array if moving else array[0], axes=axes)

        probabilities = None
        if self.probabilities is not None:
            data = self.probabilities if moving else self.probabilities[:, 0]
            probabilities = volume.with_data(data, axes=("classes", *axes))
        return Segmentation(
            labels=on_grid(self.labels),
            probabilities=probabilities,
            uncertainty={"entropy": on_grid(self.entropy)},
            slice_scores=self.scores,
            manifest=manifest,
            card=self.card,
        )
