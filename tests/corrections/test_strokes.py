"""A stroke on the disk is the stroke that was painted, or is known to be damaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_flomo.corrections import Stroke
from napari_flomo.corrections.strokes import MAGIC, DamagedRecord, records
from napari_flomo.errors import FlomoError

VALUES = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2**40), unique=True, max_size=50),
    VALUES,
    VALUES,
    st.dictionaries(st.text(max_size=5), st.integers()),
)
def test_round_trip(indices: list[int], old: int, new: int, note: dict) -> None:
    stroke = Stroke.of("stroke", indices=indices, old=old, new=new, time=1.5, note=note)
    ((back, end),) = records(MAGIC + stroke.to_record())
    assert end == len(MAGIC + stroke.to_record())
    assert (back.kind, back.time, back.note) == ("stroke", 1.5, note)
    assert back.indices.tolist() == sorted(indices)
    assert back.old.tolist() == [old] * len(indices)
    assert back.new.tolist() == [new] * len(indices)


def test_a_voxel_painted_twice_counts_once() -> None:
    stroke = Stroke.of("stroke", indices=[7, 2, 7], old=[1, 0, 5], new=[5, 5, 6], time=0)
    assert stroke.indices.tolist() == [2, 7]
    assert stroke.old.tolist() == [0, 1]  # the first
    assert stroke.new.tolist() == [5, 6]  # the last


def test_a_brush_is_small() -> None:
    """A disc of 20 pixels takes far less than its 1,257 voxels."""
    near = np.hypot(*np.ogrid[-40:40, -40:40]) < 20
    stroke = Stroke.of("stroke", indices=np.flatnonzero(near), old=0, new=3, time=0)
    assert len(stroke.to_record()) < 400


def test_values_must_fit_the_voxels() -> None:
    with pytest.raises(FlomoError, match="one value for each voxel"):
        Stroke.of("stroke", indices=[1, 2, 3], old=[0, 0], new=1, time=0)


def test_every_truncation_and_flipped_bit_is_detected() -> None:
    first = Stroke.of("stroke", indices=range(5), old=0, new=1, time=1).to_record()
    second = Stroke.of("undo", indices=range(3), old=1, new=0, time=2).to_record()
    whole = MAGIC + first + second

    def read(content: bytes) -> tuple[list[int], bool]:
        ends = []
        try:
            for _, end in records(content):
                ends.append(end)
        except DamagedRecord:
            return ends, False
        return ends, True

    one, two = len(MAGIC + first), len(whole)
    assert read(whole) == ([one, two], True)
    for cut in range(one + 1, two):
        assert read(whole[:cut]) == ([one], False), cut
    for at in range(one, two):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        assert read(bytes(flipped))[0] == [one], at
