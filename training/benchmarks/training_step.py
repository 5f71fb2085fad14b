"""Throughput of a training step, from plain PyTorch to what `flomo train` does.

    python training/benchmarks/training_step.py --threads 2 --runs 7

Random crops with the loss and optimiser of the recipe. All variants are timed in turns, so the
ratios hold even on a busy machine. Writes ``docs/benchmarks/training_step.md``.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from page_writer import document, parser_of, table, write_page
from plain_network import use_plain_convolutions
from timing import time_in_turns
from torch import Tensor, nn

from flomo_training.depthwise import accelerate
from flomo_training.losses import SegmentationLoss
from flomo_training.precision import choose_precision
from flomo_training.recipe import Recipe, read_recipe
from napari_flomo.networks import build

RECIPE = "acdc"


@dataclass(frozen=True)
class Variant:
    """One way to compute the same step."""

    title: str
    network: str = "flomo-b0"
    channels_last: bool = False
    padded: bool = False
    own_gradient: bool = False
    bfloat16: bool = False


def variants() -> list[Variant]:
    """Return the variants, each with one more change than the one before, and the baseline."""
    plain = Variant("plain PyTorch, float32")
    last = replace(plain, title="+ channels last", channels_last=True)
    padded = replace(last, title="+ wide kernels padded beforehand", padded=True)
    own = replace(padded, title="+ own depthwise gradient", own_gradient=True)
    found = [plain, last, padded, own]
    if choose_precision("auto", "cpu") == "bf16":
        found.append(replace(own, title="+ bfloat16", bfloat16=True))
    return [*found, replace(found[-1], title="DynUNet", network="dynunet")]


class Step:
    """A network with its loss and optimiser, ready to take steps."""

    def __init__(self, variant: Variant, recipe: Recipe) -> None:
        card = recipe.model
        torch.manual_seed(recipe.seed)
        self.variant = variant
        self.network: nn.Module = build(
            variant.network,
            in_channels=card.in_channels,
            num_classes=card.num_classes,
            **card.network_arguments,
        ).train()
        if variant.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not variant.padded:
            use_plain_convolutions(self.network)
        if variant.own_gradient:
            accelerate(self.network)
        self.loss = SegmentationLoss(recipe.loss)
        self.optimiser = torch.optim.NAdam(self.network.parameters(), lr=1e-4)

    def __call__(self, images: Tensor, classes: Tensor) -> None:
        """Take one step."""
        if self.variant.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.variant.bfloat16):
            loss = self.loss(self.network(images), classes)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()


def measure(recipe: Recipe, size: int, runs: int) -> dict[str, list[float]]:
    """Return the seconds of the steps of each variant, by title."""
    images = torch.rand(recipe.batch_size, recipe.model.in_channels, size, size)
    classes = torch.randint(0, len(recipe.model.labels), (recipe.batch_size, size, size))
    steps = {v.title: partial(Step(v, recipe), images, classes) for v in variants()}
    return time_in_turns(steps, runs)


def page(measured: Mapping[str, Sequence[float]], batch: int, size: int, runs: int) -> str:
    """Return the page in Markdown."""
    rates = {title: batch / statistics.median(seconds) for title, seconds in measured.items()}
    plain = next(iter(rates.values()))
    rows = [[title, f"{rate:.1f}", f"{rate / plain:.2f}"] for title, rate in rates.items()]
    return document(
        "# Training step",
        f"Batches of {batch} crops of {size} x {size} pixels, loss and deep supervision of the "
        f"recipe `acdc`, {torch.get_num_threads()} CPU threads "
        f"({torch.backends.cpu.get_cpu_capability()}), torch {torch.__version__}, Python "
        f"{platform.python_version()}; medians of {runs} alternating steps.",
        table(["step", "slices per second", "speedup"], rows),
        "The last step of FLoMo-Net is what the recipe uses on this hardware, and so is that of "
        "DynUNet. PyTorch has no fast CPU code for padding wider than the kernel, which a 5 x 5 "
        "kernel with dilation 3 needs, unless the feature map is padded beforehand. That makes the "
        "forward pass faster but PyTorch's gradient slower, so both changes belong together. The "
        "gradients of the depthwise kernels are our own (numba) and equal PyTorch's up to "
        "rounding; PyTorch has fast code only for 3 x 3 kernels without dilation.",
        f"Made by `python training/benchmarks/training_step.py --threads "
        f"{torch.get_num_threads()} --runs {runs} --size {size}`.",
    )


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "training_step.md")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--size", type=int, default=96, help="side of the crops in pixels")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = read_recipe(RECIPE)
    measured = measure(recipe, args.size, args.runs)
    write_page(args.out, page(measured, recipe.batch_size, args.size, args.runs))


if __name__ == "__main__":
    main()
