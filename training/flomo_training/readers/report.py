"""Report on two readers: page, plot, tables and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flomo_training.bootstrap import Estimate, rounded
from flomo_training.json_files import write_json
from flomo_training.metrics_table import write_rows
from flomo_training.readers.agreement import ReaderAgreement
from flomo_training.readers.comparison import MeasureAgreement, StructureAgreement
from flomo_training.readers.plots import draw_bland_altman
from napari_flomo import __version__
from napari_flomo.files import atomic_folder, write_text

PAGE = "agreement.md"
"""Name of the page in the folder of a comparison."""
REPORT = "agreement.json"
STRUCTURES = "structures.csv"
MEASURES = "measures.csv"
PLOT = "bland_altman.png"

NAMES = ("reader A", "reader B")
"""Names of the readers, unless their aliases are shown."""

PROTOCOL = (
    "Accepted corrections of the same image (equal voxels and geometry) are compared in the "
    "slices that both readers reviewed. Dice: of these slices of a frame together. HD95: the "
    "larger of the two directed 95th percentiles of surface distances in mm, within runs of "
    "adjacent slices. A structure that neither reader drew is ignored; if only one drew it, its "
    "Dice is 0 and its HD95 the diagonal of the slices. EDV, ESV, EF and mass: of frames in which "
    "both reviewed every slice with labels; end diastole and end systole are the largest and the "
    "smallest left ventricle of each reader. Bias: mean of second less first reader; limits of "
    "agreement: bias ± 1.96 standard deviations (Bland and Altman, Lancet 1986). Intervals: 95 %, "
    "bootstrap over patients, none for a single patient."
)
ANCHORING = (
    "Readers who correct the labels of a model agree more than readers who draw from nothing: what "
    "both left unchanged is equal."
)


def write_agreement(
    agreement: ReaderAgreement, folder: Path, names: tuple[str, str] = NAMES
) -> None:
    """Write `PAGE`, `PLOT`, `STRUCTURES`, `MEASURES` and `REPORT`, all or none.

    Parameters
    ----------
    agreement
        From `compare_readers`.
    folder
        New or empty.
    names
        What the readers are called; the files contain no aliases unless these are.

    Raises
    ------
    FlomoError
        If the folder is not empty or cannot be written.
    """
    with atomic_folder(folder) as inside:
        if agreement.measures:
            draw_bland_altman(agreement, names, inside / PLOT)
        write_rows(agreement.rows, StructureAgreement, inside / STRUCTURES)
        write_rows(agreement.measures, MeasureAgreement, inside / MEASURES)
        write_json(agreement_dict(agreement, names), inside / REPORT)
        write_text(inside / PAGE, _page(agreement, names))


def agreement_dict(agreement: ReaderAgreement, names: tuple[str, str] = NAMES) -> dict[str, Any]:
    """Return the agreement in plain JSON types."""
    return {
        "readers": list(names),
        "images": len(agreement.pairs),
        "patients": agreement.patients,
        "slices": agreement.slices,
        "slices_changed": list(agreement.changed),
        "structures": {
            one.name: {
                "volumes": one.volumes,
                "dice": one.dice.rounded(4)[0],
                "dice_interval_95": one.dice.rounded(4)[1:],
                "hd95_mm": one.hd95_mm.rounded(2)[0],
                "hd95_mm_interval_95": one.hd95_mm.rounded(2)[1:],
            }
            for one in agreement.structures()
        },
        "measures": {
            one.name: {
                "unit": one.unit,
                "count": one.agreement.count,
                "bias": one.agreement.bias.rounded(2)[0],
                "bias_interval_95": one.agreement.bias.rounded(2)[1:],
                "limits": [
                    rounded(limit, 2) for limit in (one.agreement.lower, one.agreement.upper)
                ],
            }
            for one in agreement.limits()
        },
        "by_structure": [vars(row) for row in agreement.rows],
        "by_patient": [vars(row) for row in agreement.measures],
        "left_out": list(agreement.left_out),
        "protocol": PROTOCOL + (f" {ANCHORING}" if agreement.has_proposals else ""),
        "flomo": __version__,
    }


def agreement_text(agreement: ReaderAgreement, names: tuple[str, str] = NAMES) -> str:
    """Return the agreement as readable text."""
    lines = [
        _counts(agreement, names),
        *(
            f"  {one.name}: Dice {_figure(one.dice, '.3f')}, HD95 {_figure(one.hd95_mm, '.1f')} mm"
            for one in agreement.structures()
        ),
        *(
            f"  {one.name}: bias {one.agreement.bias.value:+.1f} {one.unit}, limits of agreement "
            f"{_limits(one.agreement.lower, one.agreement.upper)}"
            for one in agreement.limits()
        ),
        f"  (differences: {names[1]} less {names[0]})",
    ]
    return "\n".join(lines)


def _page(agreement: ReaderAgreement, names: tuple[str, str]) -> str:
    blocks = [
        f"# Agreement of {names[0]} and {names[1]}",
        _counts(agreement, names) + (f" {ANCHORING}" if agreement.has_proposals else ""),
        "## Structures",
        _table(
            ("structure", "volumes", "Dice", "HD95, mm"),
            (
                (
                    one.name,
                    str(one.volumes),
                    _figure(one.dice, ".3f"),
                    _figure(one.hd95_mm, ".1f"),
                )
                for one in agreement.structures()
            ),
        ),
    ]
    if agreement.measures:
        blocks += [
            "## Measures",
            f"Differences are {names[1]} less {names[0]}.",
            _table(
                ("measure", "compared", "bias", "limits of agreement"),
                (
                    (
                        f"{one.name}, {one.unit}",
                        str(one.agreement.count),
                        _figure(one.agreement.bias, "+.1f"),
                        _limits(one.agreement.lower, one.agreement.upper),
                    )
                    for one in agreement.limits()
                ),
            ),
            f"![Bland-Altman plots]({PLOT})",
            "## Patients",
            f"Cells: {names[0]} / {names[1]} (difference).",
            _patients(agreement),
        ]
    if agreement.left_out:
        blocks += ["## Remarks", "\n".join(f"- {sentence}" for sentence in agreement.left_out)]
    blocks += [
        "## Protocol",
        PROTOCOL,
        f"Each structure of each image: `{STRUCTURES}`; each measure: `{MEASURES}`; all as JSON: "
        f"`{REPORT}`. Patients are the salted hashes of the store. napari-flomo {__version__}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _patients(agreement: ReaderAgreement) -> str:
    """Return a table of the measures of both readers, with a row for each image or patient."""
    measures = {row.measure: row.unit for row in agreement.measures}
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for measure in measures:
        times: Counter[str] = Counter()  # several images of a patient have a row each
        for row in agreement.measures:
            if row.measure == measure:
                cells = rows.setdefault((row.patient, times[row.patient]), {})
                cells[measure] = f"{row.first:.1f} / {row.second:.1f} ({row.difference:+.1f})"
                times[row.patient] += 1
    return _table(
        ("patient", *(f"{measure}, {unit}" for measure, unit in measures.items())),
        (
            (patient, *(cells.get(measure, "–") for measure in measures))
            for (patient, _), cells in rows.items()
        ),
    )


def _counts(agreement: ReaderAgreement, names: tuple[str, str]) -> str:
    first, second = agreement.changed
    return (
        f"Slices reviewed by both: {agreement.slices}, of {len(agreement.pairs)} images of "
        f"{agreement.patients} patients. Changed by {names[0]}: {first}, by {names[1]}: {second}."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines())


def _figure(found: Estimate, form: str) -> str:
    """Return a mean and its interval, as far as they are known."""
    value, low, high = (rounded(one, 4) for one in (found.value, found.low, found.high))
    if value is None:
        return "–"
    interval = "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
    return f"{value:{form}}{interval}"


def _limits(lower: float, upper: float) -> str:
    return "–" if rounded(lower, 2) is None else f"{lower:+.1f} to {upper:+.1f}"
