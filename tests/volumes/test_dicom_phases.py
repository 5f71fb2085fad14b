"""What tells the phases of a cine, and what is left of it where images are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, read


def drop_times(one: Dataset, *kept: str) -> None:
    for keyword in ("TriggerTime", "NominalCardiacTriggerDelayTime", "AcquisitionTime"):
        if keyword not in kept and keyword in one:
            delattr(one, keyword)
    for keyword in ("ContentTime", "InstanceNumber"):
        if keyword not in kept:
            setattr(one, keyword, "")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("TemporalPositionIdentifier", lambda s, p: p + 1),
        ("TriggerTime", lambda s, p: 12.5 + s + (38 + s) * p),
        ("NominalCardiacTriggerDelayTime", lambda s, p: 12.5 + s + 38.0 * p),
        ("AcquisitionTime", lambda s, p: f"2359{58 - s}.{p}00000"),
        ("AcquisitionDateTime", lambda s, p: f"201200002359{58 - s}.{p}00000"),
        ("InstanceNumber", lambda s, p: 1 + s + 3 * p),
        ("InstanceNumber", lambda s, p: 1 + p),
        ("ContentTime", lambda s, p: f"10{s:02}00.{p}"),
    ],
)
def test_values_that_encode_the_phase(export: Any, cine: Volume, keyword: str, value: Any) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> None:
        drop_times(one)
        setattr(one, keyword, value(slice_, phase))

    study = export(change)
    names = sorted(study.iterdir())
    for file, name in zip(names, ["z", "c", "x", "b", "q", "a", "y", "k", "d"], strict=True):
        file.rename(study / name)
    np.testing.assert_array_equal(read(study).data, cine.data)


@pytest.mark.parametrize("keyword", ["TriggerTime", "InstanceNumber", "TemporalPositionIdentifier"])
@pytest.mark.parametrize("lost", [(0, 0), (1, 2), (2, 1)])
def test_incomplete_phase(export: Any, cine: Volume, keyword: str, lost: tuple[int, int]) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> object:
        value = one.get(keyword)
        drop_times(one)
        setattr(one, keyword, phase + 1 if value is None else value)
        return None if (slice_, phase) != lost else False

    volume = read(export(change))
    kept = [phase for phase in range(3) if phase != lost[1]]
    np.testing.assert_array_equal(volume.data, cine.data[kept])
    assert f"(number {lost[1] + 1})" in volume.notes[0]


def test_two_slices_without_a_phase(export: Any, cine: Volume) -> None:
    volume = read(export(lambda one, s, p: None if s == 0 or p != 1 else False))
    np.testing.assert_array_equal(volume.data, cine.data[[0, 2]])
    assert volume.notes[0].startswith("Slices 2, 3 have fewer images than the others, so 1 of 3")


def test_numbers_of_phases_that_contradict_their_times(export: Any) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> object:
        one.TemporalPositionIdentifier = phase if slice_ == 1 and phase == 2 else phase + 1
        return None if (slice_, phase) != (1, 1) else False

    with pytest.raises(FlomoError, match="not clear which phases are complete"):
        read(export(change))


def test_every_second_slice_missing(export: Any) -> None:
    volume = read(export(lambda one, s, p: s != 1))
    assert volume.notes == (
        "The slices are 20.00 mm apart, but their headers say 10.00 mm; some may be missing.",
    )


def test_an_ambiguous_incomplete_phase(export: Any) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> object:
        drop_times(one)
        one.ContentTime = f"1{slice_}0000.{phase}"
        return None if (slice_, phase) != (1, 2) else False

    with pytest.raises(FlomoError, match="not clear which phases are complete"):
        read(export(change))


def test_slice_thickness_and_heart_cycles(export: Any) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> None:
        one.SliceThickness, one.NominalInterval = 6.0, (0 if slice_ == 2 else 800 + 10 * slice_)
        one.HeartRate = 0 if slice_ else 75

    volume = read(export(change))
    assert volume.slice_thickness == 6.0
    assert volume.heart_cycles == (0.8, 0.81)


def test_slices_of_different_thickness(export: Any) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> None:
        one.SliceThickness = 6.0 + slice_

    assert read(export(change)).slice_thickness is None
