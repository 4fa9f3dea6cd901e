"""Charts drawn by the server: an SVG of bars, its words in HTML, and a table that says the same.

The drawing is stretched to the width of its place, so it holds no words: those stand around it in
HTML, and keep their size on a phone. Colours come from the classes in `static/css/charts.css`; no
script and no inline style, so that it stands under any policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string
from django.utils.translation import gettext as _

HEIGHT = 100
SLOT = 12
GAP = 2
# A bar of almost nothing is still seen.
LEAST = 0.75
ROUND_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Series:
    """One row of bars; `tone` is its colour: accent, calm, good or bad."""

    name: str
    values: Sequence[int]
    tone: str = "accent"


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle in the units of the drawing, and the words that it says when pointed at."""

    x: str
    y: str
    width: str
    height: str
    tone: str
    words: str


def bar_chart(
    *,
    slug: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    format_value: Callable[[int], str] = str,
    stacked: bool = False,
    label_name: str = "",
    long_labels: Sequence[str] = (),
) -> str:
    """The chart as safe HTML: one group of bars for each label, one bar in it for each series.

    `slug` makes its ids unique on the page. `format_value` writes a value for people (credits,
    images). `stacked` puts the series of a label upon each other instead of side by side.
    `label_name` heads the labels in the table ("Day"); `long_labels` say there and at the bars
    what a short label leaves out. Raises ValueError if a series has not one value, of zero or
    more, for each label.
    """
    for one in series:
        if len(one.values) != len(labels) or min(one.values, default=0) < 0:
            raise ValueError(f"{one.name}: one value of zero or more for each label")
    names = list(long_labels or labels)
    highest = _highest(series, stacked=stacked)
    top = round_up(highest)
    context = {
        "slug": slug,
        "title": title,
        "label_name": label_name or _("When"),
        "width": max(1, len(labels)) * SLOT,
        "height": HEIGHT,
        "bars": place_bars(series=series, names=names, top=top, show=format_value, stacked=stacked),
        "series": series,
        "is_empty": not highest,
        "top": format_value(top) if highest else "",
        "middle": format_value(top // 2) if top % 2 == 0 else "",
        "zero": format_value(0),
        "ends": _ends(labels),
        "rows": [
            (name, [format_value(one.values[place]) for one in series])
            for place, name in enumerate(names)
        ],
        "total": [format_value(sum(one.values)) for one in series],
    }
    return render_to_string("core/_bar_chart.html", context)


def place_bars(
    *,
    series: Sequence[Series],
    names: Sequence[str],
    top: int,
    show: Callable[[int], str] = str,
    stacked: bool = False,
) -> list[Bar]:
    """Where each bar stands, in a drawing of `HEIGHT` by `SLOT` per label with `top` as its upper
    edge; values of zero have no bar."""
    side_by_side = 1 if stacked else max(1, len(series))
    width = (SLOT - GAP) / side_by_side
    bars = []
    for place, name in enumerate(names):
        floor = float(HEIGHT)
        for number, one in enumerate(series):
            value = one.values[place]
            if not value:
                continue
            height = max(LEAST, value * HEIGHT / top)
            x = place * SLOT + GAP / 2 + (0 if stacked else number * width)
            y = max(0.0, (floor if stacked else HEIGHT) - height)
            floor = y
            words = f"{name}: {show(value)}"
            if len(series) > 1:
                words = f"{name}, {one.name}: {show(value)}"
            bars.append(Bar(_short(x), _short(y), _short(width), _short(height), one.tone, words))
    return bars


def round_up(value: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50 ... that is not below the value; 1 for nothing at all."""
    power = int("1" + "0" * (len(str(value)) - 1))
    return next(step * power for step in ROUND_STEPS if step * power >= value)


def _highest(series: Sequence[Series], *, stacked: bool) -> int:
    if stacked:
        columns = zip(*(one.values for one in series), strict=True)
        return max((sum(column) for column in columns), default=0)
    return max((value for one in series for value in one.values), default=0)


def _ends(labels: Sequence[str]) -> list[str]:
    """The first, the middle and the last label: what has room on a phone."""
    if len(labels) < 3:
        return list(labels)
    return [labels[0], labels[(len(labels) - 1) // 2], labels[-1]]


def _short(number: float) -> str:
    # Not through the template's localisation: an SVG knows the decimal point only.
    return f"{number:.2f}".rstrip("0").rstrip(".")
