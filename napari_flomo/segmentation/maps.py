"""Uncertainty maps by name.

All are float32 on the grid of the image, 0 (certain) to 1, and 0 where nothing was segmented. They
do not change the labels, which come from one plain pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation.tta import MIRRORED

DEFAULT_MAPS = ("entropy",)
"""Maps that are computed by default."""

TEST_TIME_PASSES = 8
"""Views in test-time augmentation, including the plain one."""

DRAWS = 16
"""Samples of Monte Carlo attention, not counting the deterministic pass."""

DRAWS_SEED = 0

STAGES = (1, 2, 3, 4)
"""Decoder stages of FLoMo-Net."""

COARSER = {f"stage{stage}": 2 ** (4 - stage) for stage in STAGES}
"""Downsampling factor of each stage, 8 to 1."""

FLOMO_NETWORKS = ("flomo-b0", "flomo-b1", "flomo-b2")
DRAWING_NETWORKS = ("fias",)

Over = Literal["", "views", "draws"]
Shows = Literal["entropy", "mutual_information", "variance"]


@dataclass(frozen=True)
class MapKind:
    """Description of an uncertainty map.

    Attributes
    ----------
    name
        Its key in `Segmentation.uncertainty`.
    title, description
        For users.
    passes
        Passes of the network over each slice, including the one for the labels.
    networks
        The networks that have it; None for all.
    reads
        The map is the mean of these names in `napari_flomo.networks.Output.maps`; empty for maps
        that are computed from probabilities.
    stage
        Decoder stage that it shows; None for all stages.
    over
        What differs between passes: the view of the slice, or the samples of the network. Empty for
        maps of one pass.
    shows
        The statistic, see `napari_flomo.segmentation.tta.PassStatistics`.
    """

    name: str
    title: str
    description: str
    passes: int = 1
    networks: tuple[str, ...] | None = None
    reads: tuple[str, ...] = ()
    stage: int | None = None
    over: Over = ""
    shows: Shows = "entropy"

    def offered_by(self, network: str) -> bool:
        """Return True if the network of this name has this map."""
        return self.networks is None or network in self.networks


_PROBABILITY_MAPS: tuple[tuple[str, str, Over, Shows, str], ...] = (
    ("entropy", "Entropy", "", "entropy",
     "Spread of the calibrated probability over the structures: 0 certain, 1 uniform."),
    ("tta_entropy", "Entropy over views", "views", "entropy",
     "Entropy of the mean probability over eight views of the slice (flipped, rotated, brighter, "
     "darker): 0 certain, 1 uniform."),
    ("mutual_information", "Mutual information", "views", "mutual_information",
     "Disagreement of the eight views: entropy of their mean minus their mean entropy; 0 if all "
     "agree, however uncertain each of them is."),
    ("variance", "Variance over views", "views", "variance",
     "Variance of the probabilities over the eight views, as a share of the largest possible one."),
    ("mc_entropy", "Monte Carlo entropy", "draws", "entropy",
     f"Entropy of the mean probability over {DRAWS} samples of the network's attention: 0 certain, "
     "1 uniform."),
    ("mc_mutual_information", "Monte Carlo mutual information", "draws", "mutual_information",
     f"Disagreement of {DRAWS} samples of the network's attention: entropy of their mean minus "
     "their mean entropy."),
    ("mc_variance", "Monte Carlo variance", "draws", "variance",
     f"Variance of the probabilities over {DRAWS} samples of the network's attention, as a share "
     "of the largest possible one."),
)  # fmt: skip
"""Name, title, what differs between passes, statistic, description."""


def _of_probabilities() -> list[MapKind]:
    passes = {"": 1, "views": TEST_TIME_PASSES, "draws": 1 + DRAWS}
    return [
        MapKind(
            name,
            title,
            description,
            passes[over],
            DRAWING_NETWORKS if over == "draws" else None,
            over=over,
            shows=shows,
        )
        for name, title, over, shows, description in _PROBABILITY_MAPS
    ]


_NETWORK_MAPS = (
    ("entropy", "entropy", "Network entropy",
     "Entropy of the features where skip and decoder are fused, as a share of its maximum."),
    ("cosine", "cosine", "Network disagreement",
     "One minus the cosine between the features of skip and decoder: 0 equal, 1 orthogonal."),
    ("correction", "corrective", "Corrective mask",
     "Where the network corrected its features: 0 nowhere, 1 fully."),
    ("distrust", "trust", "Distrust mask",
     "Where the network did not pass its features unchanged: 0 all passed, 1 none."),
)  # fmt: skip
"""Name here, name in the network's output, title, description."""

COMPLEMENTS = frozenset({"trust"})
"""Outputs of the network that are high where it is certain; the map is 1 minus the output."""


def _of_network() -> list[MapKind]:
    """Return the network's own maps: for each the mean of all stages, then every stage."""
    kinds = []
    for name, output, title, description in _NETWORK_MAPS:
        for stage in (None, *STAGES):
            stages = STAGES if stage is None else (stage,)
            where = "mean of the stages" if stage is None else f"stage {stage}"
            kinds.append(
                MapKind(
                    f"network_{name}" + ("" if stage is None else f"_stage{stage}"),
                    title + ("" if stage is None else f", stage {stage}"),
                    f"{description} From the network itself, {where}.",
                    networks=FLOMO_NETWORKS,
                    reads=tuple(f"stage{one}.{output}" for one in stages),
                    stage=stage,
                )
            )
    return kinds


MAPS: Mapping[str, MapKind] = {kind.name: kind for kind in _of_probabilities() + _of_network()}
"""All maps by name; ``docs/benchmarks/uncertainty.md`` compares how well they find errors."""


def chosen_maps(names: Iterable[str]) -> tuple[MapKind, ...]:
    """Return maps by name, in the given order without duplicates; raise `FlomoError` if unknown.

    Whether the network provides its own maps is checked when it runs.
    """
    kinds = []
    for name in dict.fromkeys(names):
        if name not in MAPS:
            whole = ", ".join(kind.name for kind in MAPS.values() if kind.stage is None)
            raise FlomoError(f"There is no map called {name!r}; choose among {whole}.")
        kinds.append(MAPS[name])
    return tuple(kinds)


def passes_of(names: Iterable[str], *, mirrored: bool = False) -> int:
    """Return the number of passes of the network for the labels and these maps together.

    The plain pass is shared by all, the views by all maps over views and by mirrored labels.
    """
    more = {MAPS[name].over: MAPS[name].passes - 1 for name in names}
    if mirrored:
        more.setdefault("views", len(MIRRORED) - 1)
    return 1 + sum(more.values())
