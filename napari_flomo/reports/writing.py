"""Write a report as PDF, CSV, JSON or text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.files import OutputFile
from napari_flomo.reports.content import DISCLAIMER, REPORT_FORMATS, TO_CHECK, Report


def report_files(report: Report, paths: Sequence[str]) -> list[OutputFile]:
    """Return the files of a report for `napari_flomo.files.write_all`; the endings choose formats.

    Raises
    ------
    FlomoError
        If an ending is none of `REPORT_FORMATS`, or matplotlib is missing for a PDF.
    """
    formats: dict[str, Callable[[Report], bytes]] = {
        ".pdf": _pdf,
        ".csv": lambda one: _table(one, ",").encode(),
        ".json": lambda one: (json.dumps(_content(one), indent=2) + "\n").encode(),
        ".txt": lambda one: report_text(one).encode(),
    }
    files: list[OutputFile] = []
    for path in paths:
        make = formats.get(Path(path).suffix.lower())
        if make is None:
            raise FlomoError(
                f"{path} cannot hold a report; choose a name that ends in "
                f"{', '.join(REPORT_FORMATS[:-1])} or {REPORT_FORMATS[-1]}."
            )
        content = make(report)
        files.append((path, _writer(content)))
    return files


def report_text(report: Report) -> str:
    """Return a report as plain text, for a letter or the clipboard."""
    lines = [report.title, *([report.patient] if report.patient else []), ""]
    surface = report.measures.body_surface_m2
    for row in report.rows():
        value = "unknown" if row.value is None else f"{row.value:.1f} {row.unit}"
        indexed = "" if row.indexed is None else f" ({row.indexed:.1f} {row.unit}/m2)"
        lines.append(f"{row.name}: {value}{indexed}")
    if surface is not None:
        lines.append(f"Body surface: {surface:.2f} m2")
    lines += ["", TO_CHECK, *report.flag_lines()] if report.measures.flags else []
    lines += ["", *report.convention_lines()]
    lines += ["", *([report.accepted] if report.accepted else []), report.origin, DISCLAIMER]
    return "\n".join(lines) + "\n"


def report_table(report: Report) -> str:
    """Return the measures as lines with tabs, to be pasted into a spreadsheet."""
    return _table(report, "\t")


def _writer(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _table(report: Report, delimiter: str) -> str:
    stream = io.StringIO()
    table = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    table.writerow(["measure", "value", "unit", "per_m2", "limits_of_agreement"])
    for row in report.rows():
        numbers = ["" if one is None else f"{one:.4g}" for one in (row.value, row.indexed)]
        table.writerow([row.name, numbers[0], row.unit, numbers[1], row.limits])
    for name, choice in asdict(report.measures.conventions).items():
        table.writerow([f"convention: {name}", choice, "", "", ""])
    return stream.getvalue()


def _content(report: Report) -> dict[str, object]:
    measures = report.measures.to_dict()
    measures["structures"] = [vars(one) for one in report.measures.structures]
    measures["flags"] = [vars(one) for one in report.measures.flags]
    measures["notes"] = [vars(one) for one in report.measures.notes]
    return {
        "title": report.title,
        "patient": report.patient,
        "flomo": report.version,
        "model": None
        if report.card is None
        else {"name": report.card.name, "card_hash": report.card.card_hash},
        "accepted": report.accepted,
        "rows": [vars(row) for row in report.rows()],
        **measures,
        "conventions_text": report.convention_lines(),
        "disclaimer": DISCLAIMER,
    }


def _pdf(report: Report) -> bytes:
    try:
        from napari_flomo.reports.pages import make_pdf
    except ImportError as error:
        raise FlomoError(
            "A PDF needs matplotlib; run pip install 'napari-flomo[report]', or choose .txt."
        ) from error
    return make_pdf(report)
