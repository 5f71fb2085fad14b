"""Changes of labels, and their records in a journal file.

A journal file is `MAGIC` and then records: length of the payload (4 bytes), CRC-32 of the
payload (4 bytes), payload. All numbers are little-endian. A payload is a head (kind, time, element
types, number of voxels, length of the note), the note in JSON, and the compressed voxels: steps
between the ascending flat indices, old values, new values. Most steps of a brush are one, which
compresses well.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_flomo.errors import FlomoError

MAGIC = b"FLOMOJ1\n"
Kind = Literal["stroke", "undo", "accept", "lock", "state", "phases"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # stored by index; only append

_FRAME = struct.Struct("<II")
_HEAD = struct.Struct("<BdccQI")  # kind, time, types of indices and values, voxels, bytes of note
_STEPS = {b"4": "<u4", b"8": "<u8"}
_VALUES = {b"1": "<u1", b"2": "<u2", b"4": "<i4", b"8": "<i8"}
LARGEST_PAYLOAD = 1 << 30


class DamagedRecord(FlomoError):
    """Bytes that are not a valid record; a journal is truncated there."""


@dataclass(frozen=True, eq=False)
class Stroke:
    """One change: voxels painted or restored, a slice accepted, a label locked, or phases set.

    Parameters
    ----------
    kind
        ``"stroke"`` and ``"undo"`` (also redo) change voxels; ``"accept"`` and ``"lock"`` are
        described by the note, as are ``"phases"``. ``"state"`` is written by compaction.
    indices
        Flat indices into the label array in C order, each once.
    old, new
        Values before and after, one per index.
    time
        Seconds since 1970.
    note
        Plain JSON types: ``{"frame": 0, "slice": 5, "accepted": true}`` for "accept", ``{"code":
        3, "locked": true}`` for "lock", ``{"phases": {...}}`` for "phases". Without names and
        paths.
    """

    kind: Kind
    indices: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    old: NDArray[np.integer] = field(default_factory=lambda: np.zeros(0, np.uint8))
    new: NDArray[np.integer] = field(default_factory=lambda: np.zeros(0, np.uint8))
    time: float = 0.0
    note: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        kind: Kind,
        *,
        indices: ArrayLike,
        old: ArrayLike,
        new: ArrayLike,
        time: float,
        note: Mapping[str, Any] | None = None,
    ) -> Stroke:
        """Create a stroke from the changes that a viewer reports.

        A voxel may be reported twice: the first old and the last new value count. Single values
        apply to all voxels.

        Parameters
        ----------
        kind, time, note
            As in `Stroke`.
        indices
            Flat indices in C order (``numpy.ravel_multi_index``), in the order of painting.
        old, new
            Values before and after, one for each index or one for all.

        Raises
        ------
        FlomoError
            If the numbers of values and indices differ.
        """
        flat = np.asarray(indices, np.int64).ravel()
        try:
            before = np.broadcast_to(np.asarray(old), flat.shape)
            after = np.broadcast_to(np.asarray(new), flat.shape)
        except ValueError as error:
            raise FlomoError("A stroke needs one value for each voxel; paint it again.") from error
        unique, first = np.unique(flat, return_index=True)
        last = flat.size - 1 - np.unique(flat[::-1], return_index=True)[1]
        return cls(kind, unique, before[first], after[last], time, dict(note or {}))

    def to_record(self) -> bytes:
        """Return the framed record."""
        steps = np.diff(self.indices, prepend=0)
        index_type = b"4" if not steps.size or steps.max() < 1 << 32 else b"8"
        value_type = _smallest(self.old, self.new)
        note = json.dumps(dict(self.note), separators=(",", ":")).encode()
        voxels = b"".join(
            part.tobytes()
            for part in (
                steps.astype(_STEPS[index_type]),
                self.old.astype(_VALUES[value_type]),
                self.new.astype(_VALUES[value_type]),
            )
        )
        head = _HEAD.pack(
            KINDS.index(self.kind), self.time, index_type, value_type, self.indices.size, len(note)
        )
        payload = head + note + (zlib.compress(voxels, 1) if voxels else b"")
        return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload

    @classmethod
    def from_payload(cls, payload: bytes) -> Stroke:
        """Read a payload with a valid checksum.

        Raises
        ------
        Damaged
            If it is invalid all the same.
        """
        try:
            number, time, index_type, value_type, count, length = _HEAD.unpack_from(payload)
            body = _HEAD.size + length
            note = json.loads(payload[_HEAD.size : body])
            voxels = zlib.decompress(payload[body:]) if count else b""
            step_type, type_ = np.dtype(_STEPS[index_type]), np.dtype(_VALUES[value_type])
            ends = np.cumsum([step_type.itemsize, type_.itemsize, type_.itemsize]) * count
            if len(voxels) != ends[-1] or not isinstance(note, dict):
                raise DamagedRecord("its length is wrong")
            steps = np.frombuffer(voxels[: ends[0]], step_type).astype(np.int64)
            old = np.frombuffer(voxels[ends[0] : ends[1]], type_)
            new = np.frombuffer(voxels[ends[1] :], type_)
            return cls(KINDS[number], np.cumsum(steps), old, new, time, note)
        except (struct.error, zlib.error, ValueError, LookupError) as error:
            raise DamagedRecord(f"it is not a valid record ({error})") from error


def records(content: bytes) -> Iterator[tuple[Stroke, int]]:
    """Yield the strokes of a journal file and their end offsets, up to a `DamagedRecord`."""
    if content[: len(MAGIC)] != MAGIC:
        raise DamagedRecord("it does not begin like a journal")
    at = len(MAGIC)
    while at < len(content):
        if len(content) - at < _FRAME.size:
            raise DamagedRecord("it ends within a record")
        length, checksum = _FRAME.unpack_from(content, at)
        payload = content[at + _FRAME.size : at + _FRAME.size + length]
        if length > LARGEST_PAYLOAD or len(payload) < length:
            raise DamagedRecord("it ends within a record")
        if zlib.crc32(payload) != checksum:
            raise DamagedRecord("a checksum is wrong")
        at += _FRAME.size + length
        yield Stroke.from_payload(payload), at


def _smallest(*values: NDArray[np.integer]) -> bytes:
    """Return the smallest element type that holds all values."""
    low = min((int(part.min()) for part in values if part.size), default=0)
    high = max((int(part.max()) for part in values if part.size), default=0)
    for name, dtype in _VALUES.items():
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return name
    raise FlomoError("A label code is too large for a journal; use codes below 2^63.")
