"""What a fine-tuning is asked to do, for the command line, the viewers and the training package."""

# No `from __future__ import annotations`: magicgui reads the hints for the form in napari.
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FinetuneConfig:
    """Model, data and device of a fine-tuning; all of plain JSON types.

    The command line has an option of the same name for each field.

    Parameters
    ----------
    base
        Name or folder of the model to start from; it is not changed
    store
        Folder of the corrections
    replay
        Prepared data that the model was trained on, so that it does not forget them
    reference
        Prepared data that no model was trained on, on which the new model must not be worse; by
        default what is packaged with the base model
    device
        Where to train: auto, cpu, cuda, ...
    settings
        YAML file with hyperparameters that differ from those of the training package
    """

    base: str
    store: str
    replay: str | None = None
    reference: str | None = None
    device: str = "auto"
    settings: str | None = None

    def __post_init__(self) -> None:
        for name in ("replay", "reference", "settings"):
            value = getattr(self, name)  # forms give "" or a Path
            object.__setattr__(self, name, str(value) if value else None)

    def options(self, out: Path) -> list[str]:
        """Return the arguments of ``flomo`` for this fine-tuning, resumed if it had started."""
        command = ["finetune", "--out", str(out), "--resume"]
        for field in fields(FinetuneConfig):
            value = getattr(self, field.name)
            if value is not None:
                command += [f"--{field.name}", value]
        return command

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; ``FinetuneConfig(**content)`` reads it."""
        return asdict(self)
