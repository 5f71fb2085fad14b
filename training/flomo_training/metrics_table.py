"""The table of an evaluation: metrics of each structure of each case, stored as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_flomo import tables
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write

NAN = float("nan")


@dataclass(frozen=True)
class StructureMetrics:
    """Metrics of one structure of one case.

    Attributes
    ----------
    case, patient, phase, structure
        Identifiers; ``patient`` is the unit that the bootstrap resamples, ``phase`` may be empty.
    dice, iou, hd95_mm, nsd, slice_dice, slices
        See `flomo_training.metrics.MaskMetrics`; NaN if not measured.
    reference_ml, result_ml
        Volumes by voxel counting; NaN if the spacing is unknown.
    listed_ml
        Volume listed in the data set itself; NaN if there is none.
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


_TYPES = {field.name: field.type for field in fields(StructureMetrics)}
_REQUIRED = ("case", "patient", "phase", "structure", "dice")


def write_metrics(rows: Sequence[StructureMetrics], path: Path) -> None:
    """Write rows as CSV; NaN becomes an empty cell."""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(_TYPES), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = asdict(row).items()
            writer.writerow({name: "" if _is_nan(value) else value for name, value in cells})


def read_metrics(path: Path) -> list[StructureMetrics]:
    """Read a table of `write_metrics`, including older versions with fewer columns.

    Raises a `FlomoError` if the file is missing or is not such a table.
    """
    try:
        return [_row(cells) for cells in tables.read_table(path)]
    except OSError as error:
        raise FlomoError(f"The table {path} cannot be read: {error.strerror}.") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise FlomoError(
            f"{path} is not a table of flomo evaluate ({error}); write it again with --out."
        ) from error


def _row(cells: dict[str, str]) -> StructureMetrics:
    for name in _REQUIRED:
        if cells.get(name) is None:
            raise KeyError(name)
    convert: dict[str, Callable[[str], Any]] = {
        "str": str,
        "int": int,
        "float": lambda text: float(text) if text else NAN,
    }
    known = {name: text for name, text in cells.items() if name in _TYPES}
    return StructureMetrics(
        **{name: convert[str(_TYPES[name])](text) for name, text in known.items()}
    )


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
