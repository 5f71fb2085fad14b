"""Indices of frames and slices."""

from __future__ import annotations

import argparse

import pytest

from napari_flomo.commands.options import indices


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", [0]), ("3,1", [1, 3]), ("0-2, 9", [0, 1, 2, 9]), ("2-2,2", [2]), ("4-5,5-6", [4, 5, 6])],
)
def test_indices(text: str, expected: list[int]) -> None:
    assert indices(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "1-", "3-2", "1.5", "0-99999999999", "1--2"])
def test_invalid_indices(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        indices(text)
