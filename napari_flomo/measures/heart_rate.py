"""Heart rate from the header of an image, the times of its frames, or a statement of a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume

RATES_PER_MINUTE = (20.0, 250.0)

FEWEST_FRAMES = 8
"""Fewer frames may be a selection, and not cover a heart cycle."""

LARGEST_SPREAD = 1.25
"""Ratio of the longest and the shortest heart cycle that slices may have been acquired in."""

SMALLEST_COVER, LARGEST_COVER = 0.7, 1.1
"""How much of a heart cycle the frames may cover: prospective triggering leaves out its end."""

LARGEST_DEVIATION = 0.1
"""Of a stated rate from that of the image, from which on the report says so."""

Source = Literal["header", "frame times", "stated", "unknown"]


@dataclass(frozen=True)
class HeartRate:
    """Heart rate of a study.

    Attributes
    ----------
    per_minute
        Beats per minute; None if unknown.
    source
        Where it comes from.
    note
        Why it is unknown, or what contradicts it, in a sentence; empty for nothing.
    """

    per_minute: float | None = None
    source: Source = "unknown"
    note: str = ""

    def stated(self, per_minute: float | None) -> HeartRate:
        """Return the rate that a person states, or this one for None.

        Raises `FlomoError` for a rate that no heart has.
        """
        if per_minute is None:
            return self
        low, high = RATES_PER_MINUTE
        if not low <= per_minute <= high:
            raise FlomoError(
                f"A heart rate of {per_minute:g} per minute is not plausible; give {low:g} to "
                f"{high:g}."
            )
        note = self.note
        known = self.per_minute
        if known is not None:
            far = abs(per_minute / known - 1) > LARGEST_DEVIATION
            note = (
                f"The stated heart rate of {per_minute:.0f} per minute differs from that of the "
                f"{self.source}, {known:.0f}."
                if far
                else ""
            )
        return HeartRate(per_minute, "stated", note)

    def output_l_per_min(self, sv_ml: float | None) -> float | None:
        """Return the cardiac output for a stroke volume; None if either is unknown."""
        if sv_ml is None or self.per_minute is None:
            return None
        return sv_ml * self.per_minute / 1000

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"per_minute": self.per_minute, "source": self.source, "note": self.note}


def heart_rate_of(volumes: Sequence[Volume]) -> HeartRate:
    """Find the heart rate in the headers of images of one study; contradictions leave it unknown.

    The header may state the duration of heart cycles. If it does not, the frames of a cine are
    taken to cover one cycle: a rate is 60 over the number of frames times their step in seconds.
    """
    stated = sorted({rr for volume in volumes for rr in volume.heart_cycles})
    durations = [
        volume.n_frames * volume.frame_step
        for volume in volumes
        if volume.frame_step and volume.n_frames >= FEWEST_FRAMES
    ]
    covered = durations[0] if durations else None
    if not stated:
        return HeartRate() if covered is None else _of_frames(covered)
    if stated[-1] / stated[0] > LARGEST_SPREAD:
        return HeartRate(
            note=f"The header states heart rates from {60 / stated[-1]:.0f} to "
            f"{60 / stated[0]:.0f} per minute, so none of them is used."
        )
    cycle = sum(stated) / len(stated)
    if covered is not None and not SMALLEST_COVER <= covered / cycle <= LARGEST_COVER:
        return HeartRate(
            note=f"The header states a heart rate of {60 / cycle:.0f} per minute, but the frames "
            f"last {covered:.2f} s together instead of {cycle:.2f} s, so neither is used."
        )
    return _plausible(60 / cycle, "header", f"The header states a heart rate of {60 / cycle:.3g}")


def _of_frames(covered: float) -> HeartRate:
    return _plausible(60 / covered, "frame times", f"The frames last {covered:.3g} s together")


def _plausible(per_minute: float, source: Source, what: str) -> HeartRate:
    """Return a rate; unknown if no heart has it."""
    low, high = RATES_PER_MINUTE
    if low <= per_minute <= high:
        return HeartRate(per_minute, source)
    return HeartRate(note=f"{what}, which is not a heartbeat, so the heart rate is unknown.")
