"""From tickets to figures."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from tests.bench.engine.loads import Run, Ticket


@dataclass(frozen=True, slots=True)
class Summary:
    """A load on one system, all its rounds together. Seconds; `first_seen_p50_s` is the first
    preview, or the image if there was none before it."""

    images: int
    images_per_s: float
    p50_s: float
    p95_s: float
    first_seen_p50_s: float
    cancelled: int
    calls_after_cancel: int | None
    cancel_p95_s: float | None
    peak_mb: float | None


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that `percent` of `values` do not exceed, between two of them if it falls
    there; NaN of none."""
    ordered = sorted(values)
    if not ordered:
        return nan
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summarise(runs: Sequence[Run]) -> Summary:
    """All rounds of one load on one system together."""
    drawn = [ticket for run in runs for ticket in run.drawn]
    stopped = [ticket for run in runs for ticket in run.tickets if ticket.is_cancelled]
    calls = [t.calls_after_cancel for t in stopped if t.calls_after_cancel is not None]
    waits = [t.cancel_latency_s for t in stopped if t.cancel_latency_s is not None]
    peaks = [run.peak_mb for run in runs if run.peak_mb is not None]
    return Summary(
        images=len(drawn),
        images_per_s=len(drawn) / sum(run.wall_s for run in runs),
        p50_s=percentile(latencies(drawn), 50),
        p95_s=percentile(latencies(drawn), 95),
        first_seen_p50_s=percentile((first_seen_s(ticket) for ticket in drawn), 50),
        cancelled=len(stopped),
        calls_after_cancel=max(calls, default=None),
        cancel_p95_s=percentile(waits, 95) if waits else None,
        peak_mb=max(peaks, default=None),
    )


def latencies(tickets: Iterable[Ticket]) -> list[float]:
    """Seconds from asking to the image, of each."""
    return [ticket.latency_s for ticket in tickets]


def first_seen_s(ticket: Ticket) -> float:
    """Seconds from asking to the first preview, or to the image if that came first."""
    return ticket.latency_s if ticket.preview_s is None else ticket.preview_s


def overhead_pct(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """By how much `ours` is slower, in percent: the median over pairs measured side by side, so
    that a machine which changes its pace on the way changes both."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return (statistics.median(ratios) - 1) * 100


def deviation(ours: Sequence[bytes], theirs: Sequence[bytes]) -> tuple[float, float]:
    """Of images side by side: the largest difference of any channel of any pixel relative to
    full scale, and the share of channels that differ at all.

    Raises ValueError if two images are not of one size.
    """
    if [len(picture) for picture in ours] != [len(picture) for picture in theirs]:
        raise ValueError("pictures of different sizes cannot be compared")
    # int16: bytes would wrap around.
    one = np.frombuffer(b"".join(ours), np.uint8).astype(np.int16)
    other = np.frombuffer(b"".join(theirs), np.uint8).astype(np.int16)
    differences = np.abs(one - other)
    return float(differences.max()) / 255, float((differences > 0).mean())
