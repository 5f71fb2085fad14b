"""ONNX graphs of models: beside the weights in a model folder, or cached on this computer.

A graph belongs to the weights with which it was compared when it was written. It holds the network
rewritten for inference, in float32.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write, atomic_write_all
from napari_flomo.models import (
    CARD_FILE,
    GRAPH_FILE,
    Graph,
    ModelCard,
    card_text,
    load_network,
)
from napari_flomo.paths import cache_folder
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.engines.engine import Engine, EngineError
from napari_flomo.segmentation.engines.registry import ENGINES, unavailable_reason
from napari_flomo.segmentation.engines.tracing import example
from napari_flomo.segmentation.threads import threads

if TYPE_CHECKING:
    from torch import nn

TESTED_SLICES = 3

KEPT = 8
"""Number of most recently used graphs to keep in the cache; one of FLoMo-Net B0 takes 12 MB."""

logger = logging.getLogger(__name__)


def find_graph(folder: Path, card: ModelCard) -> Path | None:
    """Return the file of the graph in a model folder; None if it has none.

    A graph whose SHA-256 is not that of the card is refused with a message in the log.
    """
    if card.graph is None:
        return None
    path = folder / GRAPH_FILE
    if _sha256_of(path) != card.graph.sha256:
        logger.warning(
            "The graph of %s is missing or damaged, so PyTorch is used; get the model again.",
            card.name,
        )
        return None
    return path


def make_graph(network: nn.Module, card: ModelCard, size: tuple[int, int]) -> bytes:
    """Convert a network on the CPU to an ONNX graph and compare both.

    Raises
    ------
    FlomoError
        If their results differ.
    """
    from napari_flomo.segmentation.engines.onnx import OnnxRuntimeEngine, to_onnx
    from napari_flomo.segmentation.engines.openvino import OpenVinoEngine
    from napari_flomo.segmentation.engines.pytorch import TorchEngine

    content = to_onnx(network, card.in_channels, size, single=True)
    images = example(card.in_channels, size, TESTED_SLICES)
    truth = TorchEngine(ENGINES["eager"], network, "cpu")(images)
    kind = ENGINES["openvino"]
    engine: Engine
    if unavailable_reason(kind, "cpu") is None:
        engine = OpenVinoEngine.of_graph(kind, content, size, threads())
    else:
        engine = OnnxRuntimeEngine(content, threads())
    try:
        check_agreement(kind, engine(images), truth, card)
    except EngineError as fault:
        raise FlomoError(
            f"The graph of {card.name} was not written: {fault}; update PyTorch and OpenVINO."
        ) from fault
    return content


def write_graph(folder: Path) -> ModelCard:
    """Add a graph to a model folder, for the size of its crop, and return the new card.

    A model without a crop takes images of any size and gets no graph. Raises `FlomoError` if the
    graph and the network differ.
    """
    network, card = load_network(folder)
    side = card.preprocessing.crop
    if side is None:
        return card
    content = make_graph(network, card, (side, side))
    card = replace(card, graph=Graph(hashlib.sha256(content).hexdigest(), (side, side)))
    with atomic_write_all([folder / GRAPH_FILE, folder / CARD_FILE]) as (graph_file, card_file):
        graph_file.write_bytes(content)
        card_file.write_text(card_text(card), encoding="utf-8")
    return card


def cached_graph(weights: str, size: tuple[int, int]) -> Path | None:
    """Return the file of the cached graph of weights (their SHA-256); None if there is none."""
    for path in _folder().glob(f"{_stem(weights, size)}-*.onnx"):
        if _sha256_of(path) == path.stem.rpartition("-")[2]:
            with suppress(OSError):
                path.touch()  # the most recently used are kept
            return path
    return None


def cache_graph(weights: str, size: tuple[int, int], content: bytes) -> None:
    """Keep a graph for later processes if the cache can be written."""
    digest = hashlib.sha256(content).hexdigest()
    path = _folder() / f"{_stem(weights, size)}-{digest}.onnx"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
        newest = sorted(path.parent.glob("*.onnx"), key=lambda one: -one.stat().st_mtime)
        for old in newest[KEPT:]:
            old.unlink(missing_ok=True)
    except (OSError, FlomoError) as error:
        logger.info("the graph was not cached: %s", error)


def _folder() -> Path:
    return cache_folder() / "graphs"


def _stem(weights: str, size: tuple[int, int]) -> str:
    return f"{weights[:32]}-{size[0]}x{size[1]}"


def _sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
