"""Heart rate and cardiac output: known rates, and what contradicts itself is not used."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.measures import HeartRate, heart_rate_of, measure_study
from napari_flomo.models import Label
from napari_flomo.volumes import Volume


def cine(step: float | None, cycles=(), frames=25) -> Volume:
    """Frames of nothing."""
    data = np.zeros((frames, 1, 4, 4), np.uint8)
    return Volume.from_array(data, spacing=(8, 1, 1), frame_step=step, heart_cycles=cycles)


@pytest.mark.parametrize(
    ("step", "cycles", "rate"),
    [
        (0.04, (), (60, "frame times")),
        (None, (0.8,), (75, "header")),
        (0.032, (0.8,), (75, "header")),
        (0.027, (0.8,), (75, "header")),  # prospective triggering leaves out the end
        (0.032, (0.78, 0.82), (75, "header")),  # slices at slightly different rates
        (None, (), (None, "unknown")),
    ],
)
def test_rates(step, cycles, rate):
    found = heart_rate_of([cine(step, cycles)])
    assert (found.per_minute, found.source) == (
        pytest.approx(rate[0]) if rate[0] else None,
        rate[1],
    )
    assert found.note == ""


@pytest.mark.parametrize(
    ("step", "cycles", "note"),
    [
        (1.0, (), "The frames last 25 s together, which is not a heartbeat"),
        (0.04, (0.6, 1.0), "heart rates from 60 to 100 per minute"),
        (0.05, (0.8,), "75 per minute, but the frames last 1.25 s together instead of 0.80 s"),
        (0.02, (0.8,), "75 per minute, but the frames last 0.50 s"),
        (None, (8.0,), "The header states a heart rate of 7.5, which is not a heartbeat"),
    ],
)
def test_contradictions_are_said_and_not_guessed(step, cycles, note):
    found = heart_rate_of([cine(step, cycles)])
    assert (found.per_minute, found.source) == (None, "unknown")
    assert note in found.note


def test_a_few_frames_are_no_cycle():
    assert heart_rate_of([cine(0.04, frames=3)]) == HeartRate()


def test_a_stated_rate_takes_the_place_of_that_of_the_image():
    image = HeartRate(75, "header")
    assert image.stated(None) == image
    assert image.stated(78) == HeartRate(78, "stated")
    assert "differs from that of the header, 75" in image.stated(95).note
    with pytest.raises(FlomoError, match="700 per minute is not plausible"):
        image.stated(700)


def test_cardiac_output_is_stroke_volume_times_rate():
    names = [Label(3, "left ventricle", "#ff0000"), Label(1, "right ventricle", "#0000ff")]
    data = np.zeros((20, 1, 20, 20), np.uint8)
    for frame, pixels in enumerate(data.reshape(20, -1)):
        pixels[: 100 if frame else 40] = 3
        pixels[200 : 290 if frame else 240] = 1
    labels = Volume.from_array(data, spacing=(10, 10, 10), frame_step=0.05)
    measured = measure_study(labels, names, height_cm=180, weight_kg=80)
    assert measured.heart_rate.per_minute == pytest.approx(60)
    assert measured.cardiac_output == pytest.approx({"left": 0.06 * 60, "right": 0.05 * 60})
    assert measured.indexed["left_output_l_min_per_m2"] == pytest.approx(0.06 * 60 / 2)
    content = measure_study(labels, names, heart_rate=90).to_dict()
    assert content["heart_rate"]["source"] == "stated"
    assert content["cardiac_output_l_per_min"]["left"] == pytest.approx(0.06 * 90)
