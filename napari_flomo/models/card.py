"""The model card: everything that is needed to run a set of weights correctly.

Only the card determines how an image is processed: the network, the pixel size and intensities that
it was trained on, and the structure of each label code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.models.label import Label
from napari_flomo.models.signature import Signature
from napari_flomo.schema import SchemaError, decode, encode, read_json, require

CARD_FILE = "card.json"
"""Name of the card in the folder of a model."""
WEIGHTS_FILE = "model.safetensors"
"""Name of the weights in the folder of a model."""
GRAPH_FILE = "model.onnx"
"""Name of the ONNX graph in the folder of a model."""

SCHEMA = 1
"""Version of the card's layout; incremented when a field changes its meaning."""

LATER_FIELDS: Mapping[str, Any] = {
    "lineage": None,
    "gate": None,
    "neighbours": 0,
    "signature": None,
    "graph": None,
}
"""Fields added after the first cards, and the value that does not change the hash of a card."""

MOST_NEIGHBOURS = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBERS = re.compile(r"\[\n([-+.,\deE\s]+?)\n\s*\]")


@dataclass(frozen=True)
class Graph:
    """The network as an ONNX graph, to run it without PyTorch.

    Parameters
    ----------
    sha256
        Of ``model.onnx``.
    size
        Rows and columns of its images; it takes one slice at a time.
    """

    sha256: str
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            _SHA256.fullmatch(self.sha256) is not None,
            "'sha256' of the graph must be 64 hexadecimal digits in lower case",
        )
        require(len(self.size) == 2, f"'size' of the graph must be rows and columns: {self.size}")


@dataclass(frozen=True)
class IntensityRule:
    """Scaling of intensities to the range 0 to 1.

    Parameters
    ----------
    rule
        ``"percentile"``: the low percentile becomes 0, the high one 1; values beyond are clipped.
    low, high
        Percentiles, 0 to 100.
    per
        Values over which they are computed: ``"volume"``, all slices of one frame.
    """

    rule: Literal["percentile"]
    low: float
    high: float
    per: Literal["volume"] = "volume"

    def __post_init__(self) -> None:
        require(
            0 <= self.low < self.high <= 100,
            f"'low' and 'high' must be percentiles in ascending order, not {self.low:g} and "
            f"{self.high:g}",
        )


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a volume for the network.

    Parameters
    ----------
    pixel_mm
        In-plane pixel size that slices are resampled to; None ignores the pixel size.
    crop
        Side of the centred field of view in pixels after resampling; None, the safe choice, uses
        the whole image. Pixels outside it are labelled background.
    intensity
        Scaling of intensities.
    size
        Length in pixels of the longer side after resampling, with the aspect ratio kept: for
        photos, which have no pixel size. With neither this nor ``pixel_mm`` nothing is resampled.
    neighbours
        Number of slices above and below each slice of a stack that the network gets as further
        channels, in the order of the stack; beyond its ends they are 0.
    """

    pixel_mm: float | None
    crop: int | None
    intensity: IntensityRule
    size: int | None = None
    neighbours: int = 0

    def __post_init__(self) -> None:
        require(
            self.pixel_mm is None or 0.01 <= self.pixel_mm <= 100,
            f"'pixel_mm' must be null or 0.01 to 100, not {self.pixel_mm}",
        )
        for key in ("crop", "size"):
            value = getattr(self, key)
            require(
                value is None or 16 <= value <= 4096,
                f"'{key}' must be null or 16 to 4096 pixels, not {value}",
            )
        require(
            self.size is None or self.pixel_mm is None,
            "'size' and 'pixel_mm' exclude each other; set one of them to null",
        )
        require(
            0 <= self.neighbours <= MOST_NEIGHBOURS,
            f"'neighbours' must be 0 to {MOST_NEIGHBOURS} slices, not {self.neighbours}",
        )

    def to_rules(self) -> dict[str, Any]:
        """Return plain JSON types for hashing, without later fields that are not used."""
        return _without_unused(encode(self))


@dataclass(frozen=True)
class ModelCard:
    """Description of one set of weights.

    Parameters
    ----------
    name
        Letters, digits, dots, dashes and underscores.
    network, network_arguments, in_channels
        Arguments of `napari_flomo.networks.build`.
    input_kind
        ``"stack"`` (slices of a medical volume) or ``"photo"``.
    labels
        The classes; the first is the background, code 0. With softmax, channel i of the network is
        ``labels[i]``; with sigmoid the background has no channel and channel i is
        ``labels[i + 1]``.
    preprocessing
        Preprocessing of images.
    activation
        ``"softmax"`` for mutually exclusive classes, ``"sigmoid"`` for independent ones.
    temperature
        Logits are divided by it (calibration).
    threshold
        With sigmoid: the smallest probability at which a pixel belongs to a structure.
    postprocessing
        Postprocessing of the labels: ``"none"``, or ``"largest_component"``, which keeps the
        largest connected component (by faces) of each structure in each frame.
    licence
        Of the weights.
    training_data
        Training data, with citation.
    metrics
        Measured accuracy: names and numbers, nested as needed.
    protocol
        How the metrics were measured.
    parent
        Name and hash of the model this one was tuned from, or None.
    created
        ISO date.
    trained_on
        Fingerprints of the images that the weights, or those of a parent, were trained on: the
        first 16 hexadecimal digits of the SHA-256 of each. None if unknown.
    history
        Earlier weights of the same name, oldest first: their ``sha256``, ``created``,
        ``protocol`` and ``metrics``.
    lineage
        For a model that was tuned with corrections: its parent, the corrections and the training
        settings. None for all others.
    gate
        Result of the comparison with its parent: verdict, reasons, differences. None if the gate
        has not run.
    signature
        Statistics of the images that the model suits, for choosing a model by the image. None if
        unknown. A tuned model with a signature is a specialist, see `napari_flomo.models.family`.
        Not part of `card_hash`, because it does not change what the model computes.
    graph
        ``model.onnx`` beside the weights, which computes the same; None if there is none.
    sha256
        Of ``model.safetensors``; empty until the weights are saved.
    schema
        Version of this layout.

    Raises
    ------
    FlomoError
        If values are invalid or contradict each other; the message names the key.
    """

    name: str
    network: str
    network_arguments: Mapping[str, Any]
    in_channels: int
    input_kind: Literal["stack", "photo"]
    labels: tuple[Label, ...]
    preprocessing: Preprocessing
    activation: Literal["softmax", "sigmoid"]
    licence: str
    training_data: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""
    temperature: float = 1.0
    threshold: float = 0.5
    postprocessing: Literal["none", "largest_component"] = "none"
    parent: str | None = None
    created: str = ""
    trained_on: tuple[str, ...] | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    lineage: Mapping[str, Any] | None = None
    gate: Mapping[str, Any] | None = None
    signature: Signature | None = None
    graph: Graph | None = None
    sha256: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        require(
            _NAME.fullmatch(self.name) is not None,
            f"'name' must consist of letters, digits, '.', '-' and '_', not {self.name!r}",
        )
        require(1 <= self.in_channels <= 64, f"'in_channels' must be 1 to 64: {self.in_channels}")
        seen = 1 + 2 * self.preprocessing.neighbours
        require(
            seen == 1 or (self.input_kind == "stack" and self.in_channels == seen),
            f"with 'preprocessing.neighbours' {self.preprocessing.neighbours} the network gets "
            f"{seen} slices of a greyscale stack: 'in_channels' must be {seen} and 'input_kind' "
            '"stack"',
        )
        require(len(self.labels) >= 2, "'labels' must hold the background and a structure")
        require(self.labels[0].code == 0, "'labels' must begin with the background, code 0")
        for key in ("code", "name"):
            values = [getattr(label, key) for label in self.labels]
            require(len(set(values)) == len(values), f"'labels' must not repeat a {key}: {values}")
        require(0.01 <= self.temperature <= 100, "'temperature' must be 0.01 to 100")
        require(0 < self.threshold < 1, "'threshold' must lie between 0 and 1")
        require(
            not self.sha256 or _SHA256.fullmatch(self.sha256) is not None,
            "'sha256' must be 64 hexadecimal digits in lower case",
        )

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels that have a channel in the network, in its order."""
        return self.labels if self.activation == "softmax" else self.labels[1:]

    @property
    def summary(self) -> str:
        """Names of the structures that the model segments, separated by commas."""
        return ", ".join(label.name for label in self.labels[1:])

    @property
    def num_classes(self) -> int:
        """Channels of the network's logits."""
        return len(self.classes)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files of a model folder that the card describes, the card first."""
        return (CARD_FILE, WEIGHTS_FILE, *((GRAPH_FILE,) if self.graph else ()))

    @property
    def image_channels(self) -> int:
        """Channels of an image: those of the network, unless they hold neighbouring slices."""
        return 1 if self.preprocessing.neighbours else self.in_channels

    @property
    def card_hash(self) -> str:
        """SHA-256 of the card with that of the weights, however formatted.

        Signature and graph do not count: they do not change what the model computes.
        """
        rules = self.preprocessing.to_rules()
        content = {**_without_unused(self.to_dict()), "preprocessing": rules}
        for key in ("signature", "graph"):
            content.pop(key, None)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def with_sha256(self, sha256: str) -> ModelCard:
        """Return a copy of this card for weights with that hash, without a graph."""
        return replace(self, sha256=sha256, graph=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON types."""
        result: dict[str, Any] = encode(self)
        return result

    @classmethod
    def from_dict(cls, content: Any) -> ModelCard:
        """Create a card from plain JSON (or YAML) types.

        Raises
        ------
        FlomoError
            If a key is unknown, missing or invalid; the message names it.
        """
        schema = content.get("schema", SCHEMA) if isinstance(content, Mapping) else SCHEMA
        if isinstance(schema, int) and schema > SCHEMA:
            raise SchemaError(f"it has the newer layout {schema}, so update napari-flomo first")
        require(schema == SCHEMA, f"'schema' must be {SCHEMA}, not {schema!r}")
        return decode(cls, content)


def read_card(path: Path) -> ModelCard:
    """Read a ``card.json`` whose weights are saved; raise if it is missing or invalid."""
    try:
        known = path.stat()
        card = _decoded(path, (known.st_ino, known.st_mtime_ns, known.st_size))
        require(bool(card.sha256), "the key 'sha256' is missing or empty")
    except FileNotFoundError as error:
        raise FlomoError(f"The model card {path} is missing; get the model again.") from error
    except OSError as error:
        raise FlomoError(f"The model card {path} cannot be read: {reason_of(error)}.") from error
    except SchemaError as fault:
        raise FlomoError(
            f"The model card {path} is not valid: {fault}; get the model again or fix the card."
        ) from fault
    return card


@lru_cache(maxsize=32)
def _decoded(path: Path, _version: tuple[int, int, int]) -> ModelCard:
    """Return the content of a file that did not change: panels ask at every change of layers."""
    return ModelCard.from_dict(read_json(path))


def card_text(card: ModelCard) -> str:
    """Return the content of ``card.json``; lists of numbers are on one line."""
    text = json.dumps(card.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    return _NUMBERS.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


def _without_unused(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in content.items()
        if key not in LATER_FIELDS or value != LATER_FIELDS[key]
    }
