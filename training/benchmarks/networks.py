"""Compare all networks with the same slices, order, epochs and evaluation.

    python training/benchmarks/networks.py --acdc data/acdc --cvc data/cvc_clinicdb --epochs 12

Trains networks that are not trained yet (an interrupted run is resumed), evaluates them on the
held-out fold, and writes ``docs/benchmarks/networks.md`` and ``networks.json``; tables of other
data sets stay on the page. ``--epochs``, ``--square`` and ``--batch`` limit the budget for a small
computer; the page states it. ``--only`` selects rows by name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch
from correction_domains import sunnybrook, target_dice
from network_costs import Costs, Subject, measure
from networks_page import OTHER_STRUCTURE, Comparison, NetworkResult, page
from page_writer import DOCS, parser_of, write_page

from flomo_training.cases import list_cases
from flomo_training.crossval import run_fold
from flomo_training.json_files import write_json
from flomo_training.metrics_table import read_metrics
from flomo_training.recipe import CropStage, Recipe, read_recipe
from flomo_training.reports import CASES_TABLE, REPORT
from flomo_training.uncertainty.cross_fitting import at_temperature
from flomo_training.uncertainty.measurement import measure_case
from flomo_training.uncertainty.records import SliceRecord, reliability_by_patient
from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import Segmenter

PAGE, FIGURES = "networks.md", "networks.json"
ROW = "row.json"
"""Measurements of a run, kept in its folder; they are not repeated."""

NO_COSTS = Costs(0, 0, 0.0, 0.0)

REFERENCE = {"reference": True, "unit_input": True}
"""FLoMo-Net as in its official code, for intensities of 0 to 1; it has no deep supervision."""


@dataclass(frozen=True)
class NetworkConfig:
    """A network to train and measure; a row of the page.

    ``arguments`` and ``network`` replace those of the recipe, unless they are None. ``frame`` is
    the side of the square crop, for a network that accepts only one shape.
    """

    name: str
    recipe: str
    arguments: Mapping[str, Any] | None = None
    network: str | None = None
    frame: int | None = None


COMPARED: Mapping[str, Sequence[NetworkConfig]] = {
    "acdc": (
        NetworkConfig("flomo-b0, reference form", "acdc", REFERENCE),
        NetworkConfig("flomo-b0", "acdc"),
        NetworkConfig("madgnet", "acdc_madgnet"),
        NetworkConfig("fm-bff-net", "acdc_fmbff"),
        NetworkConfig("fias", "acdc_fias"),
        NetworkConfig("dynunet", "acdc_dynunet"),
    ),
    "cvc_clinicdb": (
        NetworkConfig("flomo-b0, reference form", "cvc_clinicdb", REFERENCE, frame=144),
        NetworkConfig("flomo-b0", "cvc_clinicdb"),
        NetworkConfig("madgnet", "cvc_clinicdb_madgnet"),
        NetworkConfig("fm-bff-net", "cvc_clinicdb_fmbff"),
        NetworkConfig("fias", "cvc_clinicdb_fias"),
        NetworkConfig("dynunet", "cvc_clinicdb", network="dynunet"),
    ),
}
"""By data set."""

TITLES: Mapping[str, str] = {"acdc": "ACDC", "cvc_clinicdb": "CVC-ClinicDB"}

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "two best experts": {"routing": "topk"},
    "experts alike": {"routing": "uniform"},
    "without DASA": {"attention": "none"},
    "plain bridge": {"bridge": "conv"},
    "plain fusion": {"fusion": "conv"},
    "reference norm of uncertainty": {"spatial_uncertainty": False},
}
"""Arguments that replace one part of FLoMo-Net, by the name of the row."""


def ablations(recipe: str) -> list[NetworkConfig]:
    """Return FLoMo-Net unchanged, and with one part replaced in each row."""
    return [NetworkConfig("flomo-b0", recipe)] + [
        NetworkConfig(f"flomo-b0, {name}", recipe, {"deep_supervision": True, **switch})
        for name, switch in ABLATIONS.items()
    ]


def limited_recipe(entry: NetworkConfig, options: argparse.Namespace) -> Recipe:
    """Return the recipe of a network with the budget of the command line."""
    recipe, arguments = read_recipe(entry.recipe), entry.arguments
    if options.epochs is not None:
        stages = tuple(s for s in recipe.crops.stages if s.from_epoch < options.epochs)
        recipe = replace(recipe, epochs=options.epochs, crops=replace(recipe.crops, stages=stages))
    if options.square is not None:
        crops = replace(recipe.crops, stages=(CropStage(0, options.square),))
        recipe = replace(recipe, crops=crops)
    if arguments is not None:
        model = replace(recipe.model, network_arguments=dict(arguments))
        recipe = replace(recipe, model=model)
        if not arguments.get("deep_supervision"):
            recipe = replace(recipe, loss=replace(recipe.loss, deep_supervision=0.0))
    if entry.network is not None:
        recipe = replace(recipe, model=replace(recipe.model, network=entry.network))
    if entry.frame is not None:
        preprocessing = replace(recipe.model.preprocessing, crop=entry.frame)
        recipe = replace(recipe, model=replace(recipe.model, preprocessing=preprocessing))
    fold = replace(recipe.data, fold=0)
    return replace(recipe, data=fold, batch_size=options.batch or recipe.batch_size)


def measure_network(
    entry: NetworkConfig, data: str, source: Path, options: argparse.Namespace
) -> tuple[NetworkResult, Subject]:
    """Train a network and measure it on the held-out fold unless this is done; without costs."""
    recipe = limited_recipe(entry, options)
    model = recipe.model
    subject = Subject(model.network, model.network_arguments, model.in_channels, model.num_classes)
    run = options.runs_folder / f"{data}-{entry.name}".replace(", ", "-").replace(" ", "_")
    if (run / ROW).is_file():
        row = NetworkResult(
            **json.loads((run / ROW).read_text(encoding="utf-8")) | {"costs": NO_COSTS}
        )
        return replace(row, at_home=held_out_dice(run, row)), subject
    run_fold(recipe, source, run)
    report = json.loads((run / REPORT).read_text(encoding="utf-8"))
    segmenter = Segmenter.from_pretrained(run / "model")
    plain = at_temperature(segmenter, 1.0)
    records = [
        record
        for case in list_cases(source, 0, "validation")
        for record in measure_case(case, plain)
    ]
    elsewhere = None
    if data == "acdc" and options.sunnybrook is not None:
        elsewhere = sunnybrook_dice(options.sunnybrook, segmenter)
    row = NetworkResult(
        entry.name,
        data,
        report["mean_dice"],
        report["interval_95"],
        report.get("mean_hd95_mm"),
        _ece(records, "everywhere"),
        _ece(records, "near"),
        report.get("training_hours", float("nan")),
        NO_COSTS,
        elsewhere,
        budget={
            "epochs": recipe.epochs,
            "squares": [asdict(stage) for stage in recipe.crops.stages],
            "batch": recipe.batch_size,
            "learning_rate": recipe.optimiser.learning_rate,
            "seed": recipe.seed,
            "hardware": report.get("hardware"),
        },
    )
    (run / ROW).write_text(json.dumps(asdict(row), indent=2) + "\n", encoding="utf-8")
    return replace(row, at_home=held_out_dice(run, row)), subject


def _ece(records: Sequence[SliceRecord], which: Literal["near", "everywhere"]) -> float:
    """Return the expected calibration error over all pixels of all patients."""
    by_patient = reliability_by_patient(records, which)
    together = type(by_patient)(by_patient.counts.sum(0), by_patient.brier.sum(0))
    return round(float(together.ece()), 4)


def sunnybrook_dice(source: Path, segmenter: Segmenter) -> float:
    """Return the mean Dice of the left ventricle in the labelled slices of Sunnybrook."""
    domain = sunnybrook(source)
    cases = [case for split in domain.splits for case in split.test]
    return round(target_dice(segmenter.segment, cases, domain)[OTHER_STRUCTURE], 4)


def held_out_dice(run: Path, row: NetworkResult) -> float | None:
    """Return the mean Dice of the same structure over the held-out volumes."""
    if row.elsewhere is None:
        return None
    table = read_metrics(run / CASES_TABLE)
    return round(fmean(one.dice for one in table if one.structure == OTHER_STRUCTURE), 4)


def read_comparisons(path: Path) -> dict[str, Comparison]:
    """Return the tables of the existing page by title."""
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        title: Comparison(
            [NetworkResult(**row | {"costs": Costs(**row["costs"])}) for row in one["rows"]],
            one["facts"],
        )
        for title, one in content.items()
    }


def selected(entries: Sequence[NetworkConfig], only: Sequence[str] | None) -> list[NetworkConfig]:
    """Return the requested networks."""
    return [e for e in entries if not only or e.name in only]


def command(options: argparse.Namespace) -> str:
    """Return the command that repeats the measurement, without folders of this computer."""
    words = ["python training/benchmarks/networks.py"]
    words += [f"--{name} DIR" for name in ("acdc", "cvc", "sunnybrook") if getattr(options, name)]
    for name in ("epochs", "square", "batch", "threads"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name} {value}"]
    words += [f"--ablations {' '.join(options.ablations)}"] if options.ablations else []
    return " ".join(words)


def main() -> int:
    """Train, measure, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--acdc", type=Path, help="prepared data folder")
    parser.add_argument("--cvc", type=Path, help="prepared data folder of CVC-ClinicDB")
    parser.add_argument("--sunnybrook", type=Path, help="folder to also test the ACDC models on")
    parser.add_argument(
        "--ablations", nargs="*", choices=TITLES, default=[],
        help="also train FLoMo-Net without one part at a time, on these data",
    )  # fmt: skip
    parser.add_argument("--only", nargs="*", metavar="NAME", help="rows to measure")
    parser.add_argument("--epochs", type=int)
    parser.add_argument(
        "--square",
        type=int,
        help="one crop size for all epochs; crops below 96 pixels hide the surroundings of the "
        "heart, and networks with a small receptive field then find hearts everywhere",
    )
    parser.add_argument("--batch", type=int)
    parser.add_argument("--runs-folder", type=Path, default=Path("runs") / "networks")
    parser.add_argument("--out", type=Path, default=DOCS)
    parser.add_argument("--size", type=int, default=224, help="side of the image for the costs")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sources = {"acdc": options.acdc, "cvc_clinicdb": options.cvc}
    there = {data: source for data, source in sources.items() if source is not None}
    plans = [(TITLES[data], data, source, COMPARED[data]) for data, source in there.items()]
    plans += [
        (f"FLoMo-Net's parts, on {TITLES[data]}", data, source, ablations(data))
        for data, source in there.items()
        if data in options.ablations
    ]
    try:
        facts = {"size": options.size, "threads": options.threads, "repeats": options.repeats,
                 "torch": torch.__version__, "command": command(options)}  # fmt: skip
        comparisons = read_comparisons(options.out / FIGURES)
        for title, data, source, entries in plans:
            done = [
                measure_network(e, data, source, options) for e in selected(entries, options.only)
            ]
            costs = measure([subject for _, subject in done], options.size, options.repeats)
            rows = [replace(row, costs=c) for (row, _), c in zip(done, costs, strict=True)]
            if rows:
                comparisons[title] = Comparison(rows, facts)
        write_page(options.out / PAGE, page(comparisons))
        content = {title: asdict(one) for title, one in comparisons.items()}
        write_json(content, options.out / FIGURES)
    except FlomoError as error:
        print(f"networks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
