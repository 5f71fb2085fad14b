"""Tables of dataclasses as CSV, such as the metrics of each structure of each case."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from napari_flomo import tables
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write

NAN = float("nan")
Row = TypeVar("Row")


@dataclass(frozen=True)
class StructureMetrics:
    """Metrics of one structure of one case.

    Attributes
    ----------
    patient, phase
        The unit that the bootstrap resamples, and the phase, which may be empty.
    dice, iou, hd95_mm, nsd, slice_dice, slices
        See `flomo_training.metrics.MaskMetrics`; NaN if not measured.
    reference_ml, result_ml, listed_ml
        Volumes by voxel counting, and the one listed in the data set; NaN if unknown.
    reference_voxels, result_voxels
        Sizes; -1 in old tables without these columns.
    """

    case: str
    patient: str
    phase: str
    structure: str
    dice: float
    reference_ml: float = NAN
    result_ml: float = NAN
    iou: float = NAN
    hd95_mm: float = NAN
    nsd: float = NAN
    slice_dice: float = NAN
    slices: int = 0
    listed_ml: float = NAN
    reference_voxels: int = -1
    result_voxels: int = -1

    @property
    def in_reference(self) -> bool:
        """Whether the reference contains the structure."""
        return (self.reference_voxels if self.reference_voxels >= 0 else self.reference_ml) > 0

    @property
    def in_result(self) -> bool:
        """Whether the result contains the structure."""
        return (self.result_voxels if self.result_voxels >= 0 else self.result_ml) > 0


def write_metrics(rows: Sequence[StructureMetrics], path: Path) -> None:
    """Write the table of an evaluation."""
    write_rows(rows, StructureMetrics, path)


def read_metrics(path: Path) -> list[StructureMetrics]:
    """Read the table of an evaluation, including older versions with fewer columns.

    Raises a `FlomoError` if the file is missing or is not such a table.
    """
    try:
        return read_rows(StructureMetrics, path)
    except OSError as error:
        raise FlomoError(f"The table {path} cannot be read: {reason_of(error)}.") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise FlomoError(
            f"{path} is not a table of flomo evaluate ({error}); write it again with --out."
        ) from error


def write_rows(rows: Sequence[Row], kind: type[Row], path: Path) -> None:
    """Write dataclasses of one type as rows of a CSV file; NaN becomes an empty cell."""
    columns = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = asdict(row).items()  # type: ignore[call-overload]
            writer.writerow({name: "" if _is_nan(value) else value for name, value in cells})


def read_rows(kind: type[Row], path: Path) -> list[Row]:
    """Read rows of text, integers and numbers; unknown columns are skipped.

    Raises a `KeyError` if a column without a default is missing.
    """
    known = fields(kind)  # type: ignore[arg-type]
    return [
        kind(**{f.name: _value(f, cells) for f in known if f.default is MISSING or f.name in cells})
        for cells in tables.read_table(path)
    ]


def _value(field: Field[Any], cells: dict[str, str]) -> str | int | float:
    text = cells[field.name]
    if field.type == "float":
        return float(text) if text else NAN
    return int(text) if field.type == "int" else text


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
