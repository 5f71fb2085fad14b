"""The page and the picture of the correction experiment, from its table and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_flomo.files import atomic_write

if TYPE_CHECKING:
    from correction_loop import Row

TITLES = {
    "none": "no fine-tuning",
    "tuned": "fine-tuned, corrections only",
    "replay": "fine-tuned, with base data at hand",
    "scratch": "new network, same slices",
}
COLOURS = {"tuned": "#2563eb", "replay": "#16a34a", "scratch": "#9ca3af"}

INTRODUCTION = """\
# What corrections teach

Written by `training/benchmarks/correction_loop.py` from `correction_loop.csv` beside it; do not
edit by hand.

`flomo-b0-acdc` has learnt from ACDC and meets three patients of the Sunnybrook data (another
hospital, scanner and reader; CC0, Radau et al., MIDAS Journal 2009), whose left ventricle was
drawn at end-diastole and end-systole, the myocardium at end-diastole only. Each patient in turn
is the test. On the volumes of the other two the model marks its most doubtful slices, a simulated
reader corrects the first *k* of them from the reference (left ventricle and myocardium; the right
ventricle stays as the model drew it), and `flomo finetune` learns from that store with the
settings of the package, chosen before and not changed for this page. One of the two patients is
kept out of training by fine-tuning itself, to know when to stop: of *k* corrected slices only a
part is learnt from.

*Target*: mean 3-D Dice of left ventricle and myocardium over the labelled slices of the test
patient. *Base*: mean 3-D Dice of ACDC fold 0 (32 volumes of 16 patients, native spacing, all
three structures). *Gap*: how far the target lies below the Dice of the same two structures on
ACDC fold 0 without fine-tuning. Three patients and one seed: a look, not a proof."""


def write_page(rows: Sequence[Row]) -> None:
    """Write page and picture beside the table."""
    from correction_loop import DOCS

    with atomic_write(DOCS / "correction_loop.md") as temporary:
        temporary.write_text(page(rows), encoding="utf-8")
    draw(rows, DOCS / "correction_loop.png")


def page(rows: Sequence[Row]) -> str:
    """Return the page as Markdown."""
    none = [row for row in rows if row.arm == "none"]
    start, base, same = (fmean(values) for values in zip(
        *((row.target, row.base, row.base_same) for row in none), strict=True))  # fmt: skip
    gap = same - start
    head = "| model | corrected slices | learnt from | target Dice (each patient) | LV | myocardium | gap closed | base Dice | base change | minutes |"  # noqa: E501
    lines = [head, "| --- " * 10 + "|"]
    lines.append(
        f"| {TITLES['none']} | 0 | 0 | {spread([row.target for row in none])} | "
        f"{fmean(row.target_lv for row in none):.3f} | "
        f"{fmean(row.target_myocardium for row in none):.3f} | – | {base:.4f} | – | – |"
    )
    for arm in ("tuned", "replay", "scratch"):
        for count in sorted({row.slices for row in rows if row.arm == arm}):
            some = [row for row in rows if (row.arm, row.slices) == (arm, count)]
            target, after = fmean(r.target for r in some), fmean(r.base for r in some)
            before = fmean(r.target for r in none if r.patient in {s.patient for s in some})
            lines.append(
                f"| {TITLES[arm]} | {count} | {fmean(r.learnt for r in some):.0f} | "
                f"{spread([r.target for r in some])} | {fmean(r.target_lv for r in some):.3f} | "
                f"{fmean(r.target_myocardium for r in some):.3f} | "
                f"{100 * (target - before) / gap:.0f} % | {after:.4f} | {after - base:+.4f} | "
                f"{fmean(r.seconds for r in some) / 60:.1f} |"
            )
    return "\n\n".join([
        INTRODUCTION,
        f"The gap is {gap:.3f}: {same:.3f} on ACDC fold 0, {start:.3f} on the target.",
        "![Dice after k corrected slices](correction_loop.png)",
        "\n".join(lines),
        f"Hardware: {rows[0].hardware}; minutes are those of training, on a machine that did other "
        "work beside it.",
    ]) + "\n"  # fmt: skip


def spread(values: Sequence[float]) -> str:
    """Return a mean with all values it is of."""
    return f"{fmean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"


def draw(rows: Sequence[Row], picture: object) -> None:
    """Draw the Dice on target and base over the number of corrected slices."""
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    none = [row for row in rows if row.arm == "none"]
    for axes, quantity, title in zip(
        figure.subplots(1, 2),
        ("target", "base"),
        ("target: Sunnybrook, LV and myocardium", "base: ACDC fold 0, all structures"),
        strict=True,
    ):
        level = fmean(getattr(row, quantity) for row in none)
        axes.axhline(level, color="black", linewidth=1, linestyle="--", label=TITLES["none"])
        if quantity == "target":
            own = fmean(row.base_same for row in none)
            axes.axhline(own, color="#f59e0b", linewidth=1, label="same structures, ACDC fold 0")
        for arm, colour in COLOURS.items():
            counts = sorted({row.slices for row in rows if row.arm == arm})
            if not counts:
                continue
            of = [[getattr(r, quantity) for r in rows if (r.arm, r.slices) == (arm, count)]
                  for count in counts]  # fmt: skip
            axes.plot(counts, [fmean(values) for values in of], "o-", color=colour,
                      label=TITLES[arm])  # fmt: skip
            for count, values in zip(counts, of, strict=True):
                axes.plot([count] * len(values), values, ".", color=colour, alpha=0.4)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("corrected slices")
        axes.set_ylabel("Dice")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    with atomic_write(picture) as temporary, temporary.open("wb") as file:  # type: ignore[arg-type]
        figure.savefig(file, format="png", dpi=130)
