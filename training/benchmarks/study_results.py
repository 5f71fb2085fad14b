"""Table and page of the wrong pixels that are left in a study after corrections."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from page_writer import DOCS, document, processor, table

TABLE = DOCS / "study_adaptation.csv"
LEARNT = "learnt"


@dataclass(frozen=True)
class Result:
    """Wrong pixels of one study.

    ``kind`` is how corrections are carried on, ``corrected`` how many slices the reader corrected
    (or which phase), ``left`` how many slices were measured. ``before`` and ``after`` are their
    wrong pixels, ``tried`` those of an adaptation that the cross-validation rejected or not.
    ``seconds`` is processor time.
    """

    data: str
    study: str
    kind: str
    corrected: str
    left: int
    before: int
    after: int
    tried: int
    seconds: float


def read_results() -> list[Result]:
    """Read the table of earlier runs."""
    if not TABLE.is_file():
        return []
    kinds = {"left": int, "before": int, "after": int, "tried": int, "seconds": float}
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Result(**{key: kinds.get(key, str)(value) for key, value in row.items()}) for row in rows
    ]


def write_results(results: Sequence[Result]) -> None:
    """Write the table."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Result)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) | {"seconds": round(one.seconds, 2)} for one in results)


def page(results: Sequence[Result]) -> str:
    """Return the text of the page."""
    classical = [one for one in results if one.kind != LEARNT]
    return document(
        "# Learning from the open study",
        f"""Written by `training/benchmarks/study_adaptation.py` on {processor()[0]}, one thread;
seconds are processor time. How it works is in [fine-tuning](../finetuning.md#open-study).""",
        PROTOCOL,
        "## Learnt from corrected slices",
        HOW_TO_READ,
        table(HEAD, _rows([one for one in results if one.kind == LEARNT])),
        "## Copied, registered and interpolated",
        CLASSICAL,
        table(HEAD, _rows(classical)),
        CONCLUSION,
    )


HEAD = (
    "data", "corrected", "studies", "slices left", "before", "after", "ratio", "worst study",
    "better / unchanged / worse", "without the check", "seconds",
)  # fmt: skip

PROTOCOL = """\
Wrong pixels that are left in the slices that nobody corrected, before and after. A simulated
reader corrects the k slices that the review queue offers first, or all slices of one phase (ED,
ES).

- **MyoPS** (bSSFP, LGE and T2 of another hospital; studies of 2 to 6 slices, of which few are left)
  and **Sunnybrook** (left ventricle only, myocardium at ED only): the bundled model, which has seen
  neither.
- **ACDC**: patients of fold 1, with a small model that was trained without them.
- **Cines**: all frames from ED to ES were segmented with the bundled model. It has seen ED and ES
  of the ACDC patient in training, so less is wrong before than in other patients. The series of
  Sunnybrook has every second phase; its ED was put between the frames before and after it.

Settings were chosen on other studies: among the first five of each MyoPS contrast, and the patients
001 and 004 of ACDC. Few studies were measured; nothing is random. Read the ratios as an order of
magnitude."""

HOW_TO_READ = """\
*After* is what a user sees: where the cross-validation over the corrected slices finds no gain,
nothing is suggested, and the study counts as unchanged. *Without the check* is the ratio if
suggestions were always shown.

The check sees corrected slices only. It cannot know how the adapted network does in a phase of
which nothing was corrected: corrected at ES alone, as many ACDC studies got worse at ED as got
better, one of them nearly twice as wrong. Correct slices of both phases, as the queue of a cine
offers them, before you learn from a study."""

CLASSICAL = """\
*Copied*: the reader's labels of one phase on the other. *Registered*: moved by the optical flow
(TV-L1) between the network's probabilities of both phases, and fused with the network's
probabilities of the target; in cines also *frame by frame*, through all frames between them.
*Interpolated*: every second slice left out and interpolated by shape between the reader's labels of
its neighbours."""

CONCLUSION = """\
Copying and interpolating leave more to correct than the network's own labels, in the cines as
well, so they are not offered as suggestions (to fill slices without any labels, interpolation is
among the tools). Registration helps in most studies from ED to ES, and in Sunnybrook, where the
network is often wrong, in both directions. In ACDC, it makes many studies worse from ES to ED, the
cine among them: where the network misses a structure in one phase, there is nothing to register.
Going through all frames of a cine changes little. As nothing tells in advance which study it would
harm, it is not offered. What is learnt from corrected slices is offered instead: it also helps
where slices of both phases were corrected, and can be checked on them."""


def _rows(results: Sequence[Result]) -> Iterator[list[object]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        what = one.corrected if one.kind == LEARNT else f"{one.kind} from {one.corrected}"
        groups.setdefault((one.data, what), []).append(one)
    for (data, what), members in groups.items():
        before, after, tried = (
            sum(getattr(one, name) for one in members) for name in ("before", "after", "tried")
        )
        changes = [np.sign(one.after - one.before) for one in members]
        worst = max(one.after / max(one.before, 1) for one in members)
        yield [
            data,
            what,
            len(members),
            sum(one.left for one in members),
            before,
            after,
            f"**{after / max(before, 1):.2f}**",
            f"{worst:.2f}",
            " / ".join(str(changes.count(sign)) for sign in (-1, 0, 1)),
            f"{tried / max(before, 1):.2f}",
            f"{max(one.seconds for one in members):.0f}",
        ]
