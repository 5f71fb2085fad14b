"""Measure what rewriting FLoMo-Net saves, in PyTorch and in OpenVINO.

The four take turns on single slices on one thread. Processor time and the median of the ratios
within a round hold on a busy machine, too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from unittest import mock

import numpy as np
import torch
from page_writer import parser_of, table
from speed import label_agreement
from timing import time_in_turns
from torch import Tensor, nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_network
from napari_flomo.networks import fast
from napari_flomo.segmentation.engines import tracing
from napari_flomo.segmentation.engines.openvino import import_openvino, to_graph

Run = Callable[[Tensor], np.ndarray]


def in_torch(network: nn.Module) -> Run:
    """Return a network as PyTorch runs it, channels last."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(image: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return network(image).logits.numpy()

    return run


def in_openvino(network: nn.Module, image: Tensor) -> Run:
    """Return a network as OpenVINO runs it, in float32 on one thread."""
    ov = import_openvino()
    graph = to_graph(network, image.shape[1], (image.shape[2], image.shape[3]), batch=1)
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    request = compiled.create_infer_request()

    def run(image: Tensor) -> np.ndarray:
        request.infer({0: image.contiguous().numpy()}, share_inputs=True)
        return request.output_tensors[0].data.copy()

    return run


def compare(model: str, rounds: int) -> str:
    """Return a table in Markdown, and a sentence with the two ratios."""
    network, card = load_network(model)
    side = card.preprocessing.crop or 224
    images = tracing.example_tensor(card.in_channels, (side, side), 8)
    quick = fast(network)
    runs = {
        "eager": in_torch(network),
        "fast": in_torch(quick),
        "openvino, rewritten": in_openvino(network, images[:1]),
    }
    with mock.patch.object(tracing, "fast_copy", lambda plain: plain):
        runs["openvino, plain"] = in_openvino(network, images[:1])
    found = {n: np.concatenate([run(image[None]) for image in images]) for n, run in runs.items()}
    slices = {name: cycle(images.split(1)) for name in runs}
    tasks = {name: partial(_run_next, run, slices[name]) for name, run in runs.items()}
    seconds = time_in_turns(tasks, rounds, time.process_time)
    labels = {name: logits.argmax(1) for name, logits in found.items()}
    lines = [
        [
            name,
            f"{1000 * statistics.median(seconds[name]):.1f}",
            f"{label_agreement(own, labels['eager'])[1]:.5f}",
        ]
        for name, own in labels.items()
    ]
    blocks = [table(["network", "ms per slice", "Dice with eager"], lines)]
    for slow, quick_one in (("eager", "fast"), ("openvino, plain", "openvino, rewritten")):
        ratios = [a / b for a, b in zip(seconds[slow], seconds[quick_one], strict=True)]
        blocks.append(f"{slow} / {quick_one}: {statistics.median(ratios):.2f}")
    return "\n\n".join(blocks)


def _run_next(run: Run, images: Iterator[Tensor]) -> None:
    run(next(images))


def main() -> None:
    """Measure, and print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(compare(arguments.model, arguments.rounds))


if __name__ == "__main__":
    main()
