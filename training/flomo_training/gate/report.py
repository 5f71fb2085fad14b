"""The report of the gate and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flomo_training.gate.rules import Rules
from flomo_training.gate.statistics import DataSetResult, MetricChange, StructureChange
from napari_flomo.schema import encode

SCHEMA = 1
REPORT_FILE = "report.json"
PAGE_FILE = "report.md"

Verdict = Literal["passed", "refused", "undecided"]

PROTOCOL = (
    "Both models segment the same images as users do. Dice: of all evaluated slices of an image "
    "together. HD95: the larger of the two directed 95th percentiles of surface distances in mm, "
    "within runs of adjacent evaluated slices. ECE: expected calibration error of each structure's "
    "probability (15 bins) within 5 mm, in plane, of a contour of the labels or of either model, "
    "for each image. A structure that is not labelled in an image is not evaluated there; one that "
    "the reader of a correction accepted unchanged (Dice of proposal and correction 0.99 or more) "
    "is listed separately and not part of the mean. A structure that is in neither the labels nor "
    "a result is ignored; if only one model segments an absent structure, its Dice is 0 and the "
    "other's 1. Mean over images of each structure, then over structures. Intervals: 95 %, paired "
    "bootstrap over patients, none for a single patient. Corrections are segmented by models of a "
    "cross-validation, each trained without the patient."
)

_VERDICTS: dict[str, str] = {
    "passed": "passed: it may replace its parent",
    "refused": "refused: its parent stays in use",
    "undecided": "undecided: it stays a candidate",
}
_METRICS = {"dice": "Dice", "hd95_mm": "HD95 in mm", "ece": "ECE"}


@dataclass(frozen=True)
class Check:
    """Result of one check, None if undecided, and a sentence with the numbers."""

    name: str
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class ModelFacts:
    """Name of a model, and SHA-256 of its weights."""

    name: str
    sha256: str


@dataclass(frozen=True)
class ImageChange:
    """Mean Dice of one image before and after, over its structures; None if it has none.

    ``part`` is ``"reference"`` or ``"corrections"``, ``slices`` the number of evaluated slices, and
    ``picture`` the file name of its picture, for the images that changed most.
    """

    part: str
    image: str
    slices: int
    before: float | None
    after: float | None
    picture: str | None = None


@dataclass(frozen=True)
class GateReport:
    """All results of the gate.

    Attributes
    ----------
    verdict
        ``"passed"``, ``"refused"`` (a check failed) or ``"undecided"`` (data are missing).
    reference, corrections
        Results; None if there were no images.
    images
        All images, those of the reference set first.
    left_out
        One sentence for everything that was left out or could not be checked.
    protocol
        How the metrics are defined.
    schema
        Version of this layout.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    parent: ModelFacts
    candidate: ModelFacts
    reference: DataSetResult | None
    corrections: DataSetResult | None
    images: tuple[ImageChange, ...]
    left_out: tuple[str, ...]
    rules: Rules
    device: str
    versions: Mapping[str, Any]
    date: str
    protocol: str = PROTOCOL
    schema: int = field(default=SCHEMA)

    @property
    def passed(self) -> bool:
        """Whether the candidate may replace its parent."""
        return self.verdict == "passed"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Explanations of the verdict: the checks that did not pass, otherwise all checks."""
        against = tuple(check.sentence for check in self.checks if not check.passed)
        return against or tuple(check.sentence for check in self.checks)

    @property
    def pictures(self) -> tuple[str, ...]:
        """File names of the pictures, largest changes first."""
        drawn = [image for image in self.images if image.picture]
        return tuple(sorted({image.picture for image in drawn if image.picture}))

    def text(self) -> str:
        """Return the content of ``report.json``."""
        content = encode(self) | {"reasons": list(self.reasons)}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summary(report: GateReport, report_sha256: str) -> dict[str, Any]:
    """Return the summary of a report for the candidate's card, in plain JSON types."""
    parts = {"reference": report.reference, "corrections": report.corrections}
    return {
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "sha256": report.candidate.sha256,
        "parent_sha256": report.parent.sha256,
        "judged_on": {
            name: None
            if part is None
            else {
                "data": part.data,
                "sha256": part.sha256,
                "patients": part.groups,
                "slices": part.slices,
                "dice": encode(part.mean.dice),
                "ece": encode(part.mean.ece),
            }
            for name, part in parts.items()
        },
        "rules": encode(report.rules),
        "date": report.date,
        "report_sha256": report_sha256,
    }


def page(report: GateReport) -> str:
    """Return ``report.md``, the readable report."""
    blocks = [
        f"# {report.candidate.name}: {_VERDICTS[report.verdict]}",
        f"Compared with its parent {report.parent.name} on {report.date}.",
        "\n".join(f"- {_sign(check)} {check.sentence}" for check in report.checks),
    ]
    parts = {"Reference set": report.reference, "Held-out corrections": report.corrections}
    for title, part in parts.items():
        if part is not None:
            counts = (
                f"{part.data}: {_count(part.groups, 'patient')}, {_count(part.images, 'image')}, "
                f"{_count(part.slices, 'slice')}; SHA-256 `{part.sha256}`."
            )
            if part.to_parent:
                images = _count(part.to_parent, "image")
                counts += f" By its signature the parent stays in use for {images} of these."
            blocks += [f"## {title}", counts, "\n".join(_table(part))]
    if report.pictures:
        blocks.append("## Images that changed most")
        shown = {image.picture: image for image in report.images if image.picture}
        for picture in report.pictures:
            image = shown[picture]
            dice = f"{_number(image.before)} to {_number(image.after)}"
            blocks += [f"{image.image}: Dice {dice}", f"![{image.image}]({picture})"]
    if report.left_out:
        blocks += ["## Left out", "\n".join(f"- {sentence}" for sentence in report.left_out)]
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    blocks += [
        "## Protocol",
        report.protocol,
        f"Computed on {report.device}; {versions}.",
        f"SHA-256 of the weights: parent `{report.parent.sha256}`, candidate "
        f"`{report.candidate.sha256}`.",
    ]
    return "\n\n".join(blocks) + "\n"


def _table(part: DataSetResult) -> Iterator[str]:
    yield "| structure | metric | before | after | difference | 95 % interval |"
    yield "|---|---|---|---|---|---|"
    for structure in (*part.structures, part.mean):
        yield from _rows(structure)
    for structure in part.left_alone:
        yield from _rows(structure, ", accepted unchanged")


def _rows(structure: StructureChange, note: str = "") -> Iterator[str]:
    for metric, title in _METRICS.items():
        figure: MetricChange = getattr(structure, metric)
        if figure.difference is None:
            continue
        interval = "-"
        if figure.low is not None and figure.high is not None:
            interval = f"{figure.low:+.4g} to {figure.high:+.4g}"
        cells: Sequence[str] = (
            structure.name + note,
            title,
            _number(figure.before),
            _number(figure.after),
            f"{figure.difference:+.4g}",
            interval,
        )
        yield f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _sign(check: Check) -> str:
    return {True: "passed:", False: "**failed:**", None: "**undecided:**"}[check.passed]
