"""Read JSON strictly into frozen dataclasses: every key must be known, present and well typed."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from napari_flomo.errors import FlomoError
from napari_flomo.tables import decode_text

T = TypeVar("T")


class SchemaError(FlomoError):
    """A key is unknown, missing or of the wrong type; the message names it."""


def read_json(path: Path) -> Any:
    """Parse a JSON file; reject NaN, infinity and duplicate keys, which JSON does not define.

    Raises
    ------
    SchemaError
        If the file is not valid JSON.
    OSError
        If the file cannot be read.
    """
    content = path.read_bytes()
    try:
        return json.loads(
            decode_text(content),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"it is not JSON ({error})") from error


def require(condition: bool, message: str) -> None:
    """Raise a `SchemaError` with this message unless the condition holds."""
    if not condition:
        raise SchemaError(message)


def decode(kind: type[T], value: Any, key: str = "") -> T:
    """Convert parsed JSON to a dataclass.

    Fields may be ``str``, ``int``, ``float``, ``bool``, ``Literal``, unions with ``None``,
    ``tuple[X, ...]``, ``Mapping[str, Any]`` and further dataclasses. A field without a default must
    be present. Whole numbers are accepted for floats; nothing else is converted.

    Parameters
    ----------
    kind
        The dataclass.
    value
        Parsed JSON.
    key
        Position of ``value`` for messages, such as ``"labels[2]"``.

    Raises
    ------
    SchemaError
        If a key is unknown, missing or of the wrong type; the message names it.
    """
    if not isinstance(value, Mapping):
        raise SchemaError(f"{_quoted(key)} must be an object, not {_shown(value)}")
    hints = _hints(kind)  # type: ignore[arg-type]
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise SchemaError(f"the key {_quoted(_join(key, name))} is unknown")
    arguments = {}
    for name, field in fields.items():
        if name in value:
            arguments[name] = _convert(hints[name], value[name], _join(key, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SchemaError(f"the key {_quoted(_join(key, name))} is missing")
    try:
        return kind(**arguments)
    except SchemaError as fault:
        if not key:
            raise
        raise SchemaError(f"in {_quoted(key)}: {fault}") from fault


def encode(value: Any) -> Any:
    """Convert dataclasses, mappings and tuples to types that ``json.dumps`` accepts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: encode(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value.item() if hasattr(value, "item") else value  # numpy and torch scalars


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields, cached because this is the slowest step."""
    return typing.get_type_hints(kind)


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else _convert(inner, value, key)
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            choices = " or ".join(repr(choice) for choice in arguments)
            raise SchemaError(f"{_quoted(key)} must be {choices}, not {_shown(value)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SchemaError(f"{_quoted(key)} must be a list, not {_shown(value)}")
        return tuple(
            _convert(arguments[0], item, f"{key}[{index}]") for index, item in enumerate(value)
        )
    if origin is not None:  # Mapping[str, Any]
        if not isinstance(value, Mapping):
            raise SchemaError(f"{_quoted(key)} must be an object, not {_shown(value)}")
        return dict(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value, key)
    return _scalar(hint, value, key)


def _scalar(hint: Any, value: Any, key: str) -> Any:
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    accepted = (int, float) if hint is float else hint
    # A bool is an int in Python, but not in JSON.
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise SchemaError(f"{_quoted(key)} must be {names[hint]}, not {_shown(value)}")
    if hint is float:
        value = float(value)
        if not math.isfinite(value):
            raise SchemaError(f"{_quoted(key)} must be a finite number")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {duplicate!r} is duplicated")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _quoted(key: str) -> str:
    return f"'{key}'" if key else "its content"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}..."
