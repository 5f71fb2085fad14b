"""The report of the gate, as the viewers show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError, reason_of

METRICS = (("dice", "Dice", 3), ("hd95_mm", "HD95, mm", 1), ("ece", "ECE", 3))
"""Key in the report, title, digits."""

PARTS = (("reference", "Reference patients"), ("corrections", "Corrections kept aside"))


@dataclass(frozen=True)
class GateRow:
    """One metric of one structure of a data set, before and after, as text.

    ``difference`` has a 95 % interval if there are enough patients for one.
    """

    part: str
    structure: str
    metric: str
    before: str
    after: str
    difference: str


@dataclass(frozen=True)
class GatePicture:
    """A picture (PNG) of an image that changed much; the title has its name and change of Dice."""

    path: Path
    title: str


@dataclass(frozen=True)
class GateSummary:
    """Verdict, reasons, figures and pictures of the gate.

    Attributes
    ----------
    candidate, parent
        Names of the models.
    verdict
        ``"passed"``, ``"refused"`` or ``"undecided"``.
    reasons
        Sentences with numbers.
    rows
        Figures, those of the reference patients first.
    pictures
        Pictures, those with the largest changes first.
    left_out
        One sentence for each image or figure that was not used.
    """

    candidate: str
    parent: str
    verdict: str
    reasons: tuple[str, ...]
    rows: tuple[GateRow, ...]
    pictures: tuple[GatePicture, ...]
    left_out: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may replace its parent."""
        return self.verdict == "passed"

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return {
            "passed": f"{self.candidate} passed the gate: it may replace {self.parent}.",
            "refused": f"{self.candidate} did not pass the gate, so {self.parent} stays in use.",
        }.get(
            self.verdict,
            f"The gate is undecided about {self.candidate}, so {self.parent} stays in use.",
        )


def read_gate_report(report: Path) -> GateSummary:
    """Read ``report.json`` of the gate; its pictures are in the same folder.

    Raises `FlomoError` if it cannot be read or has another layout.
    """
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        return GateSummary(
            candidate=str(content["candidate"]["name"]),
            parent=str(content["parent"]["name"]),
            verdict=str(content["verdict"]),
            reasons=tuple(map(str, content["reasons"])),
            rows=tuple(_rows(content)),
            pictures=tuple(_pictures(content, report.parent)),
            left_out=tuple(map(str, content.get("left_out", ()))),
        )
    except OSError as error:
        raise FlomoError(f"The report of the gate cannot be read: {reason_of(error)}.") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise FlomoError("The report of the gate is damaged; start a new training.") from error


def _rows(content: Mapping[str, Any]) -> Iterator[GateRow]:
    for key, title in PARTS:
        part = content.get(key)
        if part is None:
            continue
        for structure in (part["mean"], *part["structures"]):
            for metric, name, digits in METRICS:
                figure = structure[metric]
                if figure["difference"] is not None:
                    yield GateRow(
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


def _pictures(content: Mapping[str, Any], folder: Path) -> Iterator[GatePicture]:
    def change_of(image: Mapping[str, Any]) -> float:
        return abs((image["after"] or 0) - (image["before"] or 0))

    with_picture = [image for image in content["images"] if image.get("picture")]
    for image in sorted(with_picture, key=change_of, reverse=True):
        path = folder / Path(str(image["picture"])).name
        if path.is_file():
            change = f"{_number(image['before'], 3)} to {_number(image['after'], 3)}"
            yield GatePicture(path, f"{image['image']}: Dice {change}")
