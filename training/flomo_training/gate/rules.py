"""The rules of the gate: every margin is a number that somebody stated beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from napari_flomo.errors import FlomoError
from napari_flomo.models.schema import SchemaFault, decode
from napari_flomo.tables import read_text


@dataclass(frozen=True)
class Rules:
    """When a candidate may take the place of its parent.

    Parameters
    ----------
    dice_margin
        By how much the mean Dice on the reference set may fall.
    structure_margin
        By how much the Dice of any single structure may fall, on the reference set.
    dice_gain
        The mean Dice on the held-out corrections must rise by more than this.
    left_alone_margin
        By how much the Dice of a structure may fall that the readers of the held-out corrections
        left as it had been proposed: there the parent looks perfect, and no other model can.
    ece_margin
        By how much the mean expected calibration error may rise, on either.
    reference_groups, correction_groups
        Patients that each must hold at least.
    """

    dice_margin: float = 0.005
    structure_margin: float = 0.02
    dice_gain: float = 0.0
    left_alone_margin: float = 0.05
    ece_margin: float = 0.01
    reference_groups: int = 1
    correction_groups: int = 1

    def __post_init__(self) -> None:
        margins = [self.dice_margin, self.structure_margin, self.left_alone_margin]
        margins += [self.dice_gain, self.ece_margin]
        if min(margins) < 0 or max(margins) > 1:
            raise SchemaFault("margins and gain must be 0 to 1")
        if min(self.reference_groups, self.correction_groups) < 1:
            raise SchemaFault("at least 1 patient is needed on each side")


def read_rules(path: Path) -> Rules:
    """Read rules from a YAML file; what it does not name is as by default.

    Raises
    ------
    FlomoError
        If the file cannot be read or a key or value is wrong.
    """
    try:
        content = yaml.safe_load(read_text(path))
        return decode(Rules, {} if content is None else content)
    except (OSError, ValueError, yaml.YAMLError, SchemaFault) as error:
        raise FlomoError(f"The rules {path} cannot be used: {error}; mend the file.") from error
