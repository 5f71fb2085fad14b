"""What the gate found of a candidate, as a viewer shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError

METRICS = (("dice", "Dice", 3), ("hd95_mm", "HD95, mm", 1), ("ece", "ECE", 3))
"""Key in the report, title, digits."""

PARTS = (("reference", "Reference patients"), ("corrections", "Corrections kept aside"))


@dataclass(frozen=True)
class Row:
    """One figure before and after.

    Attributes
    ----------
    part, structure, metric
        Where it was measured, of what, and what it is.
    before, after
        Of the parent and of the candidate, as text.
    difference
        As text, with its 95 % interval where there are patients enough for one.
    """

    part: str
    structure: str
    metric: str
    before: str
    after: str
    difference: str


@dataclass(frozen=True)
class Picture:
    """An image that changed much, before and after.

    Attributes
    ----------
    path
        A PNG file.
    title
        What it is of, with the change of its Dice.
    """

    path: Path
    title: str


@dataclass(frozen=True)
class Judgement:
    """What the gate says.

    Attributes
    ----------
    candidate, parent
        Names of the models.
    verdict
        ``"passed"``, ``"refused"`` or ``"undecided"``.
    reasons
        Sentences with numbers.
    rows
        Figures, first of the reference patients.
    pictures
        The largest changes first.
    left_out
        One sentence for each thing that was not judged on.
    """

    candidate: str
    parent: str
    verdict: str
    reasons: tuple[str, ...]
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]
    left_out: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may take its parent's place."""
        return self.verdict == "passed"

    @property
    def sentence(self) -> str:
        """The verdict for people."""
        return {
            "passed": f"{self.candidate} passed the gate: it may take the place of {self.parent}.",
            "refused": f"{self.candidate} did not pass the gate, so {self.parent} stays in use.",
        }.get(
            self.verdict,
            f"The gate cannot tell whether {self.candidate} is better, so {self.parent} stays in "
            "use.",
        )


def read_judgement(report: Path) -> Judgement:
    """Read a report of the gate.

    Parameters
    ----------
    report
        ``report.json``; its pictures lie beside it.

    Raises
    ------
    FlomoError
        If it cannot be read or is of another layout.
    """
    try:
        told = json.loads(report.read_text(encoding="utf-8"))
        return Judgement(
            candidate=str(told["candidate"]["name"]),
            parent=str(told["parent"]["name"]),
            verdict=str(told["verdict"]),
            reasons=tuple(map(str, told["reasons"])),
            rows=tuple(_rows(told)),
            pictures=tuple(_pictures(told, report.parent)),
            left_out=tuple(map(str, told.get("left_out", ()))),
        )
    except OSError as error:
        raise FlomoError(
            f"The report of the gate cannot be read: {error.strerror or error}."
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise FlomoError("The report of the gate is damaged; train again.") from error


def _rows(told: Mapping[str, Any]) -> Iterator[Row]:
    for key, title in PARTS:
        part = told.get(key)
        if part is None:
            continue
        for structure in (part["mean"], *part["structures"]):
            for metric, name, digits in METRICS:
                figure = structure[metric]
                if figure["difference"] is not None:
                    yield Row(
                        title,
                        str(structure["name"]),
                        name,
                        _number(figure["before"], digits),
                        _number(figure["after"], digits),
                        _difference(figure, digits),
                    )


def _difference(figure: Mapping[str, Any], digits: int) -> str:
    text = f"{figure['difference']:+.{digits}f}"
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} ({figure['low']:+.{digits}f} to {figure['high']:+.{digits}f})"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _pictures(told: Mapping[str, Any], folder: Path) -> Iterator[Picture]:
    drawn = [image for image in told["images"] if image.get("picture")]
    for image in sorted(drawn, key=lambda one: -abs((one["after"] or 0) - (one["before"] or 0))):
        path = folder / Path(str(image["picture"])).name
        if path.is_file():
            change = f"{_number(image['before'], 3)} to {_number(image['after'], 3)}"
            yield Picture(path, f"{image['image']}: Dice {change}")
