"""Segment volumes with a trained network."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_flomo.models import ModelCard, open_model
from napari_flomo.progress import ProgressCallback
from napari_flomo.segmentation.batches import Batches, ProgressSteps
from napari_flomo.segmentation.device import choose_device
from napari_flomo.segmentation.engines import (
    Draws,
    EngineRunner,
    ModelSource,
    chosen_engine,
)
from napari_flomo.segmentation.inputs import check_input, chosen_indices
from napari_flomo.segmentation.manifest import StageTimer, run_manifest
from napari_flomo.segmentation.maps import DEFAULT_MAPS, MapKind, chosen_maps, passes_of
from napari_flomo.segmentation.orientation import Reorientation
from napari_flomo.segmentation.postprocessing import keep_largest_component
from napari_flomo.segmentation.prediction import predict
from napari_flomo.segmentation.preprocessing import make_plan
from napari_flomo.segmentation.result_builder import ResultBuilder
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from torch import nn

MAX_RUNNERS = 4
"""Image sizes whose engines stay in memory; without a crop every volume may have another size."""


class Segmenter:
    """A network with its card, ready to segment.

    Parameters
    ----------
    network
        Takes ``(N, C, H, W)`` and returns an object with ``logits``.
    card
        Determines all steps before and after the network.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    engine
        One of `napari_flomo.segmentation.engines.CHOICES`; the default is the plain network. All
        other engines work on a copy, which later training does not change.

    Examples
    --------
    >>> segmenter = Segmenter.from_pretrained("flomo-b0-acdc")  # doctest: +SKIP
    >>> segmentation = segmenter.segment(read("heart.nii.gz"))  # doctest: +SKIP
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        device: object = "auto",
        engine: str = "eager",
    ) -> None:
        import torch

        chosen = choose_device(device)
        layout = torch.channels_last
        network = network.to(chosen).to(memory_format=layout).eval()  # type: ignore[call-overload]
        self._set(ModelSource(card, network=network, device=chosen), engine)

    def _set(self, source: ModelSource, engine: str) -> None:
        self.card, self.device = source.card, source.device
        self.engine = chosen_engine(engine, self.device)
        self._source = source
        self._runners: OrderedDict[tuple[int, int], EngineRunner] = OrderedDict()

    @property
    def network(self) -> nn.Module:
        """The network in PyTorch, loaded when it is needed first."""
        return self._source.network

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        device: object = "auto",
        engine: str = "auto",
    ) -> Segmenter:
        """Load a model by name or folder.

        Parameters
        ----------
        model
            Name of a model, or a folder with ``card.json`` and ``model.safetensors``.
        device
            ``"auto"`` uses the GPU if there is one.
        engine
            ``"auto"`` is the model's graph on the CPU, which gives the labels of the network in
            PyTorch, except for ties; see ``docs/engines.md``.

        Raises
        ------
        FlomoError
            If there is no such model, device or engine, or the model is damaged.
        """
        folder, card = open_model(model)
        segmenter = cls.__new__(cls)
        segmenter._set(ModelSource(card, folder=folder, device=choose_device(device)), engine)
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
        """Segment a volume, or some of its slices and frames.

        The labels come from one plain pass of the network, or from the mean over mirrored views,
        and do not depend on the requested maps.

        Memory beyond the volume: 1 byte per voxel for labels and 4 for each map, 4 more per class
        for probabilities if they are kept, and one frame in float32. A cine of 30 x 12 x 512 x 512
        takes 0.5 GB, with its four probabilities 1.5 GB more.

        Parameters
        ----------
        volume
            A stack of grey slices or a photo, as the card requires.
        slices, frames
            Indices to segment, counted from 0; all by default. Intensities are normalised over the
            whole frame, so the result does not depend on the choice. Postprocessing needs whole
            frames; it is skipped otherwise, as the manifest says.
        progress
            Called with the number of passes over a slice, done and in total, first with 0. With
            maps of one pass these are slices.
        cancelled
            Called before every pass over a batch of slices; True stops the work.
        keep_probabilities
            Whether to return them; by default only for volumes with one frame.
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
            If ``cancelled`` returned True.
        FlomoError
            If the volume does not suit the model, an index or a map does not exist, or even one
            slice does not fit into the memory of the GPU.
        """
        card, watch = self.card, StageTimer()
        kinds = chosen_maps(maps)
        check_input(volume, card)
        draws = self._draws(kinds)
        chosen_frames = chosen_indices(frames, volume.n_frames, "frame")
        chosen_slices = chosen_indices(slices, volume.n_slices, "slice")
        turn = Reorientation.of(volume.geometry)
        seen = turn.volume(volume)
        plan = make_plan(seen.spatial_shape[1:], seen.in_plane_spacing, card.preprocessing)
        if keep_probabilities is None:
            keep_probabilities = volume.n_frames == 1
        names = [kind.name for kind in kinds]
        result = ResultBuilder(seen, card, plan, keep=keep_probabilities, maps=names)
        postprocess = card.postprocessing != "none" and len(chosen_slices) == volume.n_slices

        passes = passes_of(names, mirrored=mirrored)
        n_images = len(chosen_frames) * len(chosen_slices)
        steps = ProgressSteps(n_images * passes, progress, cancelled)
        runner = self._runner(plan.network)
        runner.begin()
        run = partial(
            predict, runner, card, plan, kinds=kinds, watch=watch, draws=draws, mirrored=mirrored
        )
        batches = Batches(card, plan, self.device, runner, run, steps, watch)
        order = sorted(turn.slices(chosen_slices, volume.n_slices))
        for frame in chosen_frames:
            for batch, prediction in batches.of_frame(seen.frame(frame), order):
                with watch.stage("restore"):
                    result.put(frame, batch, prediction)
                steps.finish(len(batch) * passes)
            if postprocess:
                with watch.stage("postprocess"):
                    result.postprocess(frame)
        manifest = run_manifest(
            volume,
            card,
            self.device,
            engine=runner.report(),
            frames=chosen_frames,
            slices=chosen_slices,
            batch=batches.size,
            maps=names,
            mirrored=mirrored,
            postprocessed=postprocess,
            stopwatch=watch,
        )
        return turn.segmentation(result.finish(manifest), volume)

    def with_card(self, card: ModelCard) -> Segmenter:
        """Return a segmenter with the same network and another card, such as its temperature."""
        segmenter = type(self).__new__(type(self))
        segmenter._set(self._source, self.engine)
        segmenter.card = card
        return segmenter

    def warm_up(self) -> None:
        """Load engine and libraries, so that the first volume takes no longer than the others.

        The engine is not loaded if the size of the images is not known in advance.
        """
        if self.card.postprocessing != "none":
            keep_largest_component(np.ones((1, 1, 1), np.uint8), [1])
        side = self.card.preprocessing.crop
        if side is not None:
            self._runner((side, side)).warm_up()

    def prepare_graphs(self) -> None:
        """Make the graphs that the model lacks for the sizes segmented so far.

        Takes seconds, so call it when the program is idle. Does nothing unless the engine is
        ``"auto"``.
        """
        for runner in list(self._runners.values()):
            runner.prepare_graph()

    def _draws(self, kinds: Sequence[MapKind]) -> Draws | None:
        """Return the Monte Carlo passes that the maps need; None if they need none."""
        asked = [kind.name for kind in kinds if kind.over == "draws"]
        return Draws(self.network, self.device, self.card.name, asked[0]) if asked else None

    def _runner(self, size: tuple[int, int]) -> EngineRunner:
        """Return the runner for images of this size."""
        if size not in self._runners:
            while len(self._runners) >= MAX_RUNNERS:
                self._runners.popitem(last=False)
            self._runners[size] = EngineRunner(self._source, size, asked=self.engine)
        self._runners.move_to_end(size)
        return self._runners[size]
