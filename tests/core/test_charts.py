"""Charts: bars in the right places, words that keep their size, and a table for everybody."""

import re

import pytest

from webapp.core.charts import HEIGHT, SLOT, Series, bar_chart, place_bars, round_up
from webapp.core.units import format_credits

DAYS = ["1 Nov", "2 Nov", "3 Nov"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 1), (1, 1), (2, 2), (3, 5), (6, 10), (10, 10), (11, 20), (199, 200), (5_000_001, 10**7)],
)
def test_the_scale_ends_at_a_round_number(value: int, expected: int) -> None:
    assert round_up(value) == expected


def test_bars_stand_side_by_side() -> None:
    series = [Series("granted", [10, 0]), Series("spent", [5, 10])]
    first, second, third = place_bars(series=series, names=["a", "b"], top=10)
    assert (first.y, first.height) == ("0", str(HEIGHT))
    assert (second.y, second.height) == ("50", "50")
    assert float(first.x) + float(first.width) == float(second.x)
    assert float(third.x) > SLOT


def test_bars_stand_upon_each_other() -> None:
    series = [Series("finished", [6]), Series("failed", [4], tone="bad")]
    first, second = place_bars(series=series, names=["a"], top=10, stacked=True)
    assert first.x == second.x
    assert (first.y, second.y) == ("40", "0")


def test_a_bar_of_almost_nothing_is_seen_and_one_of_nothing_is_not() -> None:
    [bar] = place_bars(series=[Series("spent", [1, 0])], names=["a", "b"], top=1_000_000)
    assert 0 < float(bar.height) < 1


def test_the_table_says_every_figure_and_the_sum() -> None:
    chart = bar_chart(
        slug="days",
        title="Spent",
        labels=DAYS,
        series=[Series("spent", [200_000, 0, 1_800_000])],
        format_value=format_credits,
    )
    cells = re.findall(r"<td>(.*?)</td>", chart)
    assert cells == ["0.20", "0.00", "1.80", "2.00"]
    assert "<title>3 Nov: 1.80</title>" in chart
    assert 'aria-labelledby="days-title days-desc"' in chart


def test_a_chart_needs_neither_scripts_nor_inline_styles_nor_fetches() -> None:
    chart = bar_chart(slug="days", title="Spent", labels=DAYS, series=[Series("spent", [1, 2, 3])])
    assert not re.search(r"style=|<script|<style|https?://|href=|\son\w+=", chart)


def test_names_are_text_and_never_markup() -> None:
    chart = bar_chart(
        slug="x", title="<b>", labels=["<i>"], series=[Series("<u>", [1]), Series("s", [2])]
    )
    assert not re.search(r"<[biu]>", chart)


def test_long_labels_are_said_at_the_bars_and_short_ones_below() -> None:
    chart = bar_chart(
        slug="x",
        title="t",
        labels=["1", "2"],
        series=[Series("s", [1, 1])],
        long_labels=["1 November", "2 November"],
    )
    assert "<title>1 November: 1</title>" in chart
    assert "<span>1</span><span>2</span></div>" in chart


def test_nothing_at_all_is_said_in_words() -> None:
    chart = bar_chart(slug="x", title="t", labels=[], series=[Series("s", [])], stacked=True)
    assert "Nothing in this period." in chart
    assert "<rect" not in chart


def test_a_scale_of_nothing_has_no_upper_end() -> None:
    nothing = [Series("s", [0, 0, 0])]
    chart = bar_chart(slug="x", title="t", labels=DAYS, series=nothing, format_value=format_credits)
    assert "0.000001" not in chart


@pytest.mark.parametrize("values", [[1, 2], [1, 2, -3]])
def test_a_series_that_does_not_fit_its_labels_is_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match="one value of zero or more"):
        bar_chart(slug="x", title="t", labels=DAYS, series=[Series("s", values)])
