"""Measure which model images choose when there are specialists.

    python training/benchmarks/routing.py --acdc ACDC --myops MYOPS --sunnybrook SUNNYBROOK

The parent is the default model. In each round a specialist for each contrast of MyoPS gets the
signature of some patients; the other patients, and images for which there is no specialist, are
then sent to one of the models by `napari_flomo.segmentation.route`, once with each specialist alone
and once with all. No network runs.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from page_writer import document, parser_of, table, write_page

from flomo_training.case import read_case_rows
from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import ModelCard, Signature, load_card
from napari_flomo.segmentation import fit_signature, image_signature, route
from napari_flomo.volumes import Volume, read

CONTRASTS = {"c0": "MyoPS bSSFP", "lge": "MyoPS LGE", "t2": "MyoPS T2"}
PARENT = "the parent"
ROUNDS, SEED = 30, 2026
PATIENTS = (3, 7)
"""Corrected patients of each contrast."""


@dataclass(frozen=True)
class Image:
    """The statistics of an image."""

    patient: str
    statistics: NDArray[np.float64]


Images = Mapping[str, Sequence[Image]]
Results = dict[tuple[int, tuple[str, ...]], Mapping[str, Counter[str]]]


def main() -> None:
    """Route all images and write the page."""
    parser = parser_of(__doc__, "routing.md")
    for name in ("acdc", "myops", "sunnybrook"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    card = load_card(DEFAULT_MODEL)
    assert card.signature is not None
    begin = process_time()
    strangers = read_others(options, card)
    contrasts = {
        name: statistics_of(options.myops / name, card)[1::2]  # the others chose the rules
        for name in CONTRASTS
    }
    count = sum(map(len, [*strangers.values(), *contrasts.values()]))
    milliseconds = 1000 * (process_time() - begin) / count
    results: Results = {
        (patients, names): confusion(card.signature, strangers, contrasts, patients, names)
        for patients in PATIENTS
        for names in ((name,) for name in CONTRASTS)
    }
    for patients in PATIENTS:
        every = tuple(CONTRASTS)
        results[patients, every] = confusion(card.signature, strangers, contrasts, patients, every)
    write_page(options.out, page(results, len(card.signature.centre), milliseconds))


def statistics_of(folder: Path, card: ModelCard, change: str = "") -> list[Image]:
    """Return the statistics of all images of a folder, changed if asked, in order of the cases."""
    found = []
    for number, row in enumerate(read_case_rows(folder)):
        image = read(folder / "images" / f"{row['case']}.nii.gz")
        changed = other_scanner(image, np.random.default_rng([SEED, number])) if change else image
        found.append(Image(row["patient"], image_signature(changed, card)))
    return found


def read_others(options: Namespace, card: ModelCard) -> dict[str, list[Image]]:
    """Return images that belong to the parent."""
    return {
        "ACDC, other patients": statistics_of(options.acdc, card),
        "the same, as of another scanner": statistics_of(options.acdc, card, "changed"),
        "Sunnybrook": statistics_of(options.sunnybrook, card),
    }


def other_scanner(image: Volume, generator: np.random.Generator) -> Volume:
    """Change contrast, sharpness, shading and noise of an image mildly."""
    from scipy.ndimage import gaussian_filter

    data = image.data.astype(np.float64)
    low, high = np.percentile(data, (1, 99))
    data = np.clip((data - low) / (high - low), 0, 1) ** generator.uniform(0.8, 1.25)
    data = gaussian_filter(data, (0, *[generator.uniform(0.2, 0.7)] * 2))
    rows = np.linspace(-1, 1, data.shape[1])[:, None]
    data *= 1 + generator.uniform(-0.15, 0.15) * rows
    data += generator.uniform(0, 0.02) * generator.standard_normal(data.shape)
    return image.with_data(data.astype(np.float32))


def confusion(
    parent: Signature, strangers: Images, contrasts: Images, patients: int, names: Sequence[str]
) -> dict[str, Counter[str]]:
    """Return for each kind of image how often each model was chosen, over all rounds."""
    generator = np.random.default_rng(SEED)
    chosen: dict[str, Counter[str]] = defaultdict(Counter)
    for _round in range(ROUNDS):
        specialists, left = {}, {}
        for name, images in contrasts.items():
            order = generator.permutation(len(images))
            known = [images[index].statistics for index in order[:patients]]
            specialists[CONTRASTS[name]] = fit_signature(known, parent=parent)
            left[CONTRASTS[name]] = [images[index] for index in order[patients:]]
        offered = {CONTRASTS[name]: specialists[CONTRASTS[name]] for name in names}
        for kind, images in {**strangers, **left}.items():
            chosen[kind].update(
                route(image.statistics, parent, offered).name or PARENT for image in images
            )
    return chosen


def page(
    results: Results,
    count: int,
    milliseconds: float,
) -> str:
    """Return the page."""
    blocks = []
    for (patients, names), chosen in results.items():
        titles = [CONTRASTS[name] for name in names]
        blocks.append(f"## {', '.join(titles)}: specialists of {patients} patients")
        rows = []
        for kind, counts in chosen.items():
            right = kind if kind in titles else PARENT
            shares = [f"{100 * counts[to] / counts.total():.0f} %" for to in (PARENT, *titles)]
            shares = [
                f"**{share}**" if to == right else share
                for share, to in zip(shares, (PARENT, *titles), strict=True)
            ]
            rows.append([kind, counts.total() // ROUNDS, *shares])
        blocks.append(table(["images", "per round", f"to {PARENT}", *titles], rows))
    return document(
        "# Which model an image chooses",
        "Written by `training/benchmarks/routing.py`. A specialist is used for images like those "
        f"that it was tuned with (see [models](../models.md)). {count} statistics of the middle "
        "slices, as the network sees them, are compared with the signatures in the model cards: "
        "grey values, the power spectrum, and strength and shape of details of four sizes. This "
        f"takes {milliseconds:.0f} ms of processor time for an image, most of it for reading.",
        f"Each table is the mean of {ROUNDS} rounds. In each, the specialists get the signature of "
        "other patients; only patients that are not among them are sent. Where images belong is "
        "in bold: those of a contrast without specialist, and all of other origin, to the parent. "
        "The statistics and rules were chosen on other patients of ACDC and MyoPS; the limit of "
        "strangers, however, with all of MyoPS in view. Sunnybrook, with 3 patients, played a part "
        "in the choice, too.",
        *blocks,
        "An image that belongs to a specialist but goes to the parent is segmented as before the "
        "specialist was trained: nothing is lost but the gain. Of the images of the base task none "
        "may go astray; those of other scanners, Sunnybrook among them, can resemble a specialist "
        "more than the parent. With few patients the spread of a specialist's images is hardly "
        "known, and strangers of the same hospital are taken for its own more often.",
    )


if __name__ == "__main__":
    main()
