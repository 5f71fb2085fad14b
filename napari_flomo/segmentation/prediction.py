"""Predict probabilities and uncertainty maps of slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.segmentation.manifest import StageTimer
from napari_flomo.segmentation.maps import COARSER, COMPLEMENTS, DRAWS, DRAWS_SEED, MapKind
from napari_flomo.segmentation.preprocessing import Plan, restore
from napari_flomo.segmentation.tta import MIRRORED, VIEWS, PassStatistics

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_flomo.networks import Draws


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of some slices, on the native grid, on the CPU.

    ``probabilities`` are calibrated, ``(slices, classes, rows, columns)``, of the plain pass or the
    mean over mirrored views; ``maps`` are ``(slices, rows, columns)`` each, without the entropy.
    """

    probabilities: Tensor
    maps: dict[str, Tensor]


def predict(
    network: Callable[..., Any],
    card: ModelCard,
    plan: Plan,
    images: Tensor,
    *,
    kinds: Sequence[MapKind],
    watch: StageTimer,
    before_pass: Callable[[int], None],
    draws: Draws | None = None,
    mirrored: bool = False,
) -> Prediction:
    """Run the network on some slices, as often as the maps require.

    Parameters
    ----------
    network
        Takes images and ``maps``, such as an `EngineRunner`; returns ``logits`` and ``maps``.
    card, plan
        The card of the network, and the plan of the image.
    images
        ``(slices, channels, rows, columns)`` on the network's grid and device.
    kinds, draws
        The maps to compute, and `draws_for` them.
    watch
        Measures the stages.
    before_pass
        Called before each pass with its number, from 0; may raise to stop.
    mirrored
        Whether probabilities are the mean over the slice and its mirror images.
    """
    before_pass(0)
    with _on_device(watch, images.device):
        output = network(images, maps=any(kind.reads for kind in kinds))
        plain = as_probabilities(output.logits, card)
        maps = network_maps(output, kinds, card.name)
        del output
    spreads = {kind.over: PassStatistics(card.activation) for kind in kinds if kind.over}
    number = count(1)
    if "views" in spreads:
        spreads["views"].add(plain)
    total = plain
    for view in (VIEWS if "views" in spreads else MIRRORED if mirrored else ())[1:]:
        before_pass(next(number))
        with _on_device(watch, images.device):
            seen_so, where = view.back(as_probabilities(network(view.of(images)).logits, card))
            if "views" in spreads:
                spreads["views"].add(seen_so, where)
            if mirrored and view in MIRRORED:
                total = total + seen_so
    if "draws" in spreads and draws is not None:
        for draw in range(len(draws)):
            before_pass(next(number))
            with _on_device(watch, images.device):
                logits = draws(images, draw).logits
                spreads["draws"].add(as_probabilities(logits, card))
    with watch.stage("restore"):
        background = 0 if card.activation == "softmax" else None
        mean = total / len(MIRRORED) if mirrored else total
        probabilities = restore(mean, plan, background).cpu()
        shown = {over: spread.maps() for over, spread in spreads.items()}
        maps |= {kind.name: shown[kind.over][kind.shows] for kind in kinds if kind.over}
        wanted = {kind.name: maps[kind.name] for kind in kinds if kind.name in maps}
        return Prediction(
            probabilities,
            {name: restore(one, plan, None)[:, 0].cpu() for name, one in wanted.items()},
        )


def as_probabilities(logits: Tensor, card: ModelCard) -> Tensor:
    """Return calibrated probabilities; the temperature does not change the most probable class."""
    scaled = logits.float() / card.temperature
    return scaled.softmax(1) if card.activation == "softmax" else scaled.sigmoid()


def draws_for(kinds: Sequence[MapKind], network: nn.Module, model: str) -> Draws | None:
    """Return the Monte Carlo passes that the maps need; None if they need none.

    The plain network runs them, whichever engine runs the others. Raises `FlomoError` if the
    network has no Monte Carlo attention.
    """
    asked = [kind.name for kind in kinds if kind.over == "draws"]
    if not asked:
        return None
    from napari_flomo.networks import Draws, can_sample

    if not can_sample(network):
        raise FlomoError(
            f"The network of {model} has no map {asked[0]!r}, because it has no Monte Carlo "
            "attention; choose variance or another map that every network has."
        )
    return Draws(network, DRAWS, DRAWS_SEED)


def network_maps(output: Any, kinds: Sequence[MapKind], model: str) -> dict[str, Tensor]:
    """Return the network's own maps, each ``(slices, 1, rows, columns)`` at the input's size.

    The stages are resized one by one and then averaged. Raises `FlomoError` if the network does not
    return them.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    returned = getattr(output, "maps", {})
    size = output.logits.shape[-2:]
    found = {}
    for kind in kinds:
        if not kind.reads:
            continue
        if any(name not in returned for name in kind.reads):
            raise FlomoError(
                f"The network of {model} has no map {kind.name!r} of its own; choose entropy or "
                "another map that every network has."
            )
        stages = []
        for name in kind.reads:
            stage, _, what = name.partition(".")
            one = returned[name].float()
            if COARSER[stage] > 1:
                one = F.interpolate(one, scale_factor=COARSER[stage], mode="bilinear")
            # The network pads its input at the end, to a multiple of its stride.
            one = one[..., : size[0], : size[1]]
            stages.append(1 - one if what in COMPLEMENTS else one)
        found[kind.name] = torch.stack(stages).mean(0).clamp_(0, 1)
    return found


@contextmanager
def _on_device(watch: StageTimer, device: torch.device) -> Iterator[None]:
    """Measure the time of the network, also on a GPU."""
    import torch

    with watch.stage("network"):
        yield
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # otherwise the next stage would be charged
