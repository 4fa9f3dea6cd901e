"""Latency against load, as an SVG drawing."""

from collections.abc import Mapping
from html import escape
from itertools import pairwise
from math import ceil, floor, log10

from tests.bench.engine.summary import Summary

WIDTH_PX, HEIGHT_PX = 720, 440
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 70, 160, 50, 60
# Told apart by the colour-blind too (Okabe & Ito 2008).
COLOURS = {"engine": "#0072b2", "b0": "#d55e00", "b1": "#cc79a7", "b2": "#009e73"}


class Plot:
    """Places shares of capacity from left to right, and seconds upwards on a log scale."""

    def __init__(self, loads: Mapping[float, Mapping[str, Summary]]) -> None:
        seconds = [s for row in loads.values() for one in row.values() for s in _times_s(one)]
        self._loads = loads
        self._most_load = max(loads) * 1.05
        self._low = floor(log10(min(seconds)))
        # At least one decade, or the scale has no length.
        self._high = max(ceil(log10(max(seconds))), self._low + 1)

    def x(self, load: float) -> float:
        """Pixels from the left."""
        return LEFT_PX + load / self._most_load * (WIDTH_PX - LEFT_PX - RIGHT_PX)

    def y(self, seconds: float) -> float:
        """Pixels from the top."""
        share = (log10(seconds) - self._low) / (self._high - self._low)
        return HEIGHT_PX - BOTTOM_PX - share * (HEIGHT_PX - TOP_PX - BOTTOM_PX)

    def svg(self, title: str) -> str:
        """The drawing, complete."""
        parts = [*self._axes(title), *self._curves()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
            f'width="{WIDTH_PX}" height="{HEIGHT_PX}" role="img" '
            'font-family="system-ui, sans-serif" font-size="12">\n'
            f"<title>{escape(title)}</title>\n"
            f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="#fff"/>\n'
            + "\n".join(parts)
            + "\n</svg>\n"
        )

    def _axes(self, title: str) -> list[str]:
        left, right = LEFT_PX, WIDTH_PX - RIGHT_PX
        bottom = HEIGHT_PX - BOTTOM_PX
        parts = [_text(left, 28, title, size=15)]
        for seconds in self._ticks_s():
            y = self.y(seconds)
            parts.append(_line(left, y, right, y, "#ddd"))
            parts.append(_text(left - 8, y + 4, f"{seconds:g} s", anchor="end"))
        for load in self._loads:
            x = self.x(load)
            parts.append(_line(x, bottom, x, bottom + 5, "#333"))
            parts.append(_text(x, bottom + 20, f"{load:g}", anchor="middle"))
        parts.append(_line(left, bottom, right, bottom, "#333"))
        caption = "requests as a share of plain diffusers' capacity"
        parts.append(_text((left + right) / 2, bottom + 44, caption, anchor="middle"))
        return parts

    def _ticks_s(self) -> list[float]:
        decades = range(self._low, self._high + 1)
        ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [tick for tick in ticks if tick <= 10.0**self._high]

    def _curves(self) -> list[str]:
        parts = []
        names = list(next(iter(self._loads.values())))
        for place, name in enumerate(names):
            colour = COLOURS.get(name, "#333")
            points = [(load, *_times_s(by_name[name])) for load, by_name in self._loads.items()]
            parts += self._curve([(load, p50) for load, p50, _ in points], colour, dash="4 4")
            parts += self._curve([(load, p95) for load, _, p95 in points], colour)
            parts += _legend(place, name, colour)
        return parts

    def _curve(self, points: list[tuple[float, float]], colour: str, dash: str = "") -> list[str]:
        places = [(self.x(load), self.y(seconds)) for load, seconds in points]
        lines = [_line(*one, *other, colour, dash=dash, width=2) for one, other in pairwise(places)]
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        return lines + dots


def _times_s(summary: Summary) -> tuple[float, float]:
    return summary.p50_s, summary.p95_s


def _legend(place: int, name: str, colour: str) -> list[str]:
    x, y = WIDTH_PX - RIGHT_PX + 20, TOP_PX + 14 + 40 * place
    return [
        _line(x, y, x + 24, y, colour, width=2),
        _text(x + 30, y + 4, f"{name} p95"),
        _line(x, y + 18, x + 24, y + 18, colour, dash="4 4", width=2),
        _text(x + 30, y + 22, f"{name} p50"),
    ]


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: str = "", width: int = 1
) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"{dashes}/>'
    )


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="#222">{escape(words)}</text>'
    )
