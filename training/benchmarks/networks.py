"""All networks in one frame: the same slices, order, epochs and measure; only the network differs.

    python training/benchmarks/networks.py --acdc data/acdc --cvc data/cvc_clinicdb --epochs 12

Trains what is not trained yet (an interrupted run goes on), measures it on the held-out fold, and
writes ``docs/benchmarks/networks.md`` and ``networks.json``; tables of data that are not asked for
stay on the page. ``--epochs``, ``--square`` and ``--batch`` make a budget that a small computer can
hold; the page states it. ``--only`` picks rows by name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from correction_domains import sunnybrook, target_dice
from network_costs import Costs, Subject, measure
from networks_page import ABROAD, Row, Table, page

from flomo_training.agreement import read_table
from flomo_training.cases import list_cases
from flomo_training.crossval import run_fold
from flomo_training.recipe import CropStage, Recipe, read_recipe
from flomo_training.reports import CASES_TABLE, REPORT
from flomo_training.uncertainty.fold import at_temperature
from flomo_training.uncertainty.measuring import measure_case
from flomo_training.uncertainty.records import reliability_by_patient
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.segmentation import Segmenter

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
PAGE, FIGURES = "networks.md", "networks.json"
ROW = "row.json"
"""What was measured of a run, in its folder; it is not measured again."""

NO_COSTS = Costs(0, 0, 0.0, 0.0)

REFERENCE = {"reference": True, "unit_input": True}
"""FLoMo-Net as its official code has it, behind intensities of 0 to 1; it has no stages' heads."""


@dataclass(frozen=True)
class Entry:
    """A row of the page.

    Attributes
    ----------
    name
        Of the row and of its run folder.
    recipe
        That it is trained by.
    arguments
        Arguments of the network in place of the recipe's; None keeps those.
    network
        Name of the network in place of the recipe's; None keeps that.
    frame
        Side of the square that images are brought to, for a network that takes no other shape.
    """

    name: str
    recipe: str
    arguments: Mapping[str, Any] | None = None
    network: str | None = None
    frame: int | None = None


COMPARED: Mapping[str, Sequence[Entry]] = {
    "acdc": (
        Entry("flomo-b0, reference form", "acdc", REFERENCE),
        Entry("flomo-b0", "acdc"),
        Entry("madgnet", "acdc_madgnet"),
        Entry("fm-bff-net", "acdc_fmbff"),
        Entry("fias", "acdc_fias"),
        Entry("dynunet", "acdc_dynunet"),
    ),
    "cvc_clinicdb": (
        Entry("flomo-b0, reference form", "cvc_clinicdb", REFERENCE, frame=144),
        Entry("flomo-b0", "cvc_clinicdb"),
        Entry("madgnet", "cvc_clinicdb_madgnet"),
        Entry("fm-bff-net", "cvc_clinicdb_fmbff"),
        Entry("fias", "cvc_clinicdb_fias"),
        Entry("dynunet", "cvc_clinicdb", network="dynunet"),
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
"""What replaces one part of FLoMo-Net, by the name of the row."""


def ablations(recipe: str) -> list[Entry]:
    """Return FLoMo-Net as it is and with one part replaced in each row."""
    return [Entry("flomo-b0", recipe)] + [
        Entry(f"flomo-b0, {name}", recipe, {"deep_supervision": True, **switch})
        for name, switch in ABLATIONS.items()
    ]


def budgeted(entry: Entry, options: argparse.Namespace) -> Recipe:
    """Return an entry's recipe with the budget of the command line."""
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


def measure_entry(
    entry: Entry, data: str, source: Path, options: argparse.Namespace
) -> tuple[Row, Subject]:
    """Train and measure an entry on the held-out fold unless that is done; costs are to come."""
    recipe = budgeted(entry, options)
    model = recipe.model
    subject = Subject(model.network, model.network_arguments, model.in_channels, model.num_classes)
    run = options.runs_folder / f"{data}-{entry.name}".replace(", ", "-").replace(" ", "_")
    if (run / ROW).is_file():
        row = Row(**json.loads((run / ROW).read_text(encoding="utf-8")) | {"costs": NO_COSTS})
        return replace(row, at_home=dice_at_home(run, row)), subject
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
        elsewhere = dice_elsewhere(options.sunnybrook, source, segmenter)
    row = Row(
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
    with atomic_write(run / ROW) as temporary:
        temporary.write_text(json.dumps(asdict(row), indent=2) + "\n", encoding="utf-8")
    return replace(row, at_home=dice_at_home(run, row)), subject


def _ece(records: Sequence[Any], which: str) -> float:
    """Return the expected calibration error over all pixels of all patients, without temperature.

    Parameters
    ----------
    records
        Of all held-out slices.
    which
        ``"everywhere"`` or ``"near"`` the contours.
    """
    by_patient = reliability_by_patient(records, lambda record: getattr(record, which))
    together = type(by_patient)(by_patient.counts.sum(0), by_patient.brier.sum(0))
    return round(float(together.ece()), 4)


def dice_elsewhere(source: Path, acdc: Path, segmenter: Segmenter) -> float:
    """Return the mean Dice of the left ventricle in the labelled slices of another collection."""
    domain = sunnybrook(source, acdc)
    cases = [case for question in domain.questions for case in question.test]
    return round(target_dice(segmenter, cases, domain)[ABROAD], 4)


def dice_at_home(run: Path, row: Row) -> float | None:
    """Return the mean Dice over held-out volumes of the structure that was measured elsewhere."""
    if row.elsewhere is None:
        return None
    table = read_table(run / CASES_TABLE)
    return round(fmean(one.dice for one in table if one.structure == ABROAD), 4)


def read_tables(path: Path) -> dict[str, Table]:
    """Return the tables of the page as it is, by title; those of other data stay on it."""
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        title: Table(
            [Row(**row | {"costs": Costs(**row["costs"])}) for row in table["rows"]], table["facts"]
        )
        for title, table in content.items()
    }


def chosen(entries: Sequence[Entry], only: Sequence[str] | None) -> list[Entry]:
    """Return the entries that were asked for."""
    return [e for e in entries if not only or e.name in only]


def command(options: argparse.Namespace) -> str:
    """Return the command that measures the same, without folders of this computer."""
    words = ["python training/benchmarks/networks.py"]
    words += [f"--{name} DIR" for name in ("acdc", "cvc", "sunnybrook") if getattr(options, name)]
    for name in ("epochs", "square", "batch", "threads"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name} {value}"]
    words += [f"--ablations {' '.join(options.ablations)}"] if options.ablations else []
    return " ".join(words)


def main() -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--acdc", type=Path, help="prepared data folder")
    parser.add_argument("--cvc", type=Path, help="prepared data folder of CVC-ClinicDB")
    parser.add_argument("--sunnybrook", type=Path, help="folder to test the ACDC models on, too")
    parser.add_argument(
        "--ablations", nargs="*", choices=TITLES, default=[],
        help="also train FLoMo-Net without one part at a time, on these data",
    )  # fmt: skip
    parser.add_argument("--only", nargs="*", metavar="NAME", help="rows to measure")
    parser.add_argument("--epochs", type=int)
    parser.add_argument(
        "--square",
        type=int,
        help="one size of squares for all epochs; below 96 pixels they hide what surrounds a heart,"
        " and networks that look closely find hearts everywhere",
    )
    parser.add_argument("--batch", type=int)
    parser.add_argument("--runs-folder", type=Path, default=Path("runs") / "networks")
    parser.add_argument("--out", type=Path, default=FOLDER)
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
        tables = read_tables(options.out / FIGURES)
        for title, data, source, entries in plans:
            done = [measure_entry(e, data, source, options) for e in chosen(entries, options.only)]
            costs = measure([subject for _, subject in done], options.size, options.repeats)
            rows = [replace(row, costs=c) for (row, _), c in zip(done, costs, strict=True)]
            if rows:
                tables[title] = Table(rows, facts)
        text = page(tables)
        options.out.mkdir(parents=True, exist_ok=True)
        with atomic_write(options.out / FIGURES) as temporary:
            content = {title: asdict(table) for title, table in tables.items()}
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        with atomic_write(options.out / PAGE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except FlomoError as error:
        print(f"networks: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
