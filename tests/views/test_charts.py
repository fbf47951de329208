"""Pictures say no more than was seen: a price line is broken where nothing was."""

from kquant.values import MINUTE_US, Krw, Micros
from kquant.views.charts import Span, price_chart
from kquant.views.words import counted

SPAN = Span(start=Micros(0), end=Micros(360 * MINUTE_US))


def closes(*minutes):
    return [(Micros(at * MINUTE_US), Krw(1_000 + at)) for at in minutes]


def test_a_price_line_is_broken_where_nothing_was_seen_for_ten_minutes():
    assert price_chart(closes(1, 2, 3, 13), [], SPAN).count("<polyline") == 1
    broken = price_chart(closes(1, 2, 3, 14, 15), [], SPAN)
    assert broken.count("<polyline") == 2
    first, second = broken.split('<polyline class="price" points="')[1:]
    assert first.split('"')[0].count(",") == 3
    assert second.split('"')[0].count(",") == 2


def test_one_is_counted_as_one():
    assert (counted(0, "fill"), counted(1, "fill"), counted(1_200, "run")) == ("0 fills", "1 fill", "1,200 runs")
