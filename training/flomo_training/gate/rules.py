"""The rules of the gate: margins that are set in advance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from napari_flomo.errors import FlomoError
from napari_flomo.schema import SchemaError, decode
from napari_flomo.tables import read_text


@dataclass(frozen=True)
class Rules:
    """When a candidate may replace its parent.

    Parameters
    ----------
    dice_margin
        Largest allowed decrease of the mean Dice on the reference set.
    structure_margin
        Largest allowed decrease of the Dice of a single structure on the reference set.
    dice_gain
        The mean Dice on the held-out corrections must increase by more than this, and the whole
        95 % interval of the increase over patients must be above 0.
    left_alone_margin
        Largest allowed decrease of the Dice of structures that the readers of the held-out
        corrections accepted unchanged. The parent looks perfect there, and no other model can.
    ece_margin
        Largest allowed increase of the mean expected calibration error on either data set.
    reference_groups, correction_groups
        Smallest number of patients in each data set.
    """

    dice_margin: float = 0.003
    structure_margin: float = 0.02
    dice_gain: float = 0.0
    left_alone_margin: float = 0.1
    ece_margin: float = 0.01
    reference_groups: int = 1
    correction_groups: int = 3

    def __post_init__(self) -> None:
        margins = [self.dice_margin, self.structure_margin, self.left_alone_margin]
        margins += [self.dice_gain, self.ece_margin]
        if min(margins) < 0 or max(margins) > 1:
            raise SchemaError("margins and gain must be 0 to 1")
        if min(self.reference_groups, self.correction_groups) < 1:
            raise SchemaError("at least 1 patient is needed in each data set")


def read_rules(path: Path) -> Rules:
    """Read rules from a YAML file; missing keys have their defaults.

    Raises a `FlomoError` if the file cannot be read or a key or value is invalid.
    """
    try:
        content = yaml.safe_load(read_text(path))
        return decode(Rules, {} if content is None else content)
    except (OSError, ValueError, yaml.YAMLError, SchemaError) as error:
        raise FlomoError(f"The rules {path} cannot be used: {error}; fix the file.") from error
