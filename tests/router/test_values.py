"""Values as people write them, understood or refused with what is allowed."""

from __future__ import annotations

import math

import pytest

from router.values import Limit, ValueFormatError, count, limit, period_days, yes_or_no


@pytest.mark.parametrize("text", ["yes", "Y", " TRUE ", "on", "1", "required"])
def test_yes_is_understood(text: str) -> None:
    assert yes_or_no(text) is True


@pytest.mark.parametrize("text", ["no", "N", "False", "off", "0", "not required"])
def test_no_is_understood(text: str) -> None:
    assert yes_or_no(text) is False


@pytest.mark.parametrize("text", ["maybe", "", "yes no", "2"])
def test_neither_yes_nor_no_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueFormatError, match="yes or no"):
        yes_or_no(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200", 200),
        ("200 examples", 200),
        ("1,000 examples", 1000),
        ("1 000", 1000),
        ("1_000", 1000),
        ("1 example", 1),
        ("about 300 high-quality examples", 300),
        ("~300", 300),
        ("200+", 200),
        ("1k", 1000),
        ("1.5k examples", 1500),
        ("2 million", 2_000_000),
        ("2M", 2_000_000),
        ("4.1M", 4_100_000),
        ("1.001k", 1001),
        ("２００", 200),
        ("0 examples", 0),
        ("none", 0),
        ("no examples", 0),
    ],
)
def test_count_is_understood(text: str, value: int) -> None:
    assert count(text, of="examples") == value


@pytest.mark.parametrize(
    "text", ["100000", "100k", "100,000 queries", "100k per month", "100k/month"]
)
def test_queries_a_month_are_understood(text: str) -> None:
    assert count(text, of="queries", smallest=1) == 100_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is said"),
        ("examples", "write `0 examples`"),
        ("some", "write `0 examples`"),
        ("-5", "no number"),
        ("200 ms", "no number"),
        ("200 queries", "no number"),
        ("100 a day", "no number"),
        ("1.5 examples", "not a whole number"),
        ("1.000", "units or of thousands"),
        ("1,00", "no number"),
        ("nan", "no number"),
        ("inf", "no number"),
        ("1e6", "no number"),
        ("²", "no number"),
        ("9" * 13, "out of bounds"),
        ("9" * 5000, "too many"),
    ],
)
def test_count_that_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueFormatError, match=said):
        count(text, of="examples")


def test_no_query_at_all_is_out_of_bounds() -> None:
    with pytest.raises(ValueFormatError, match="between 1 and"):
        count("0", of="queries", smallest=1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2s", Limit(2000)),
        ("50ms", Limit(50)),
        ("1.5 s", Limit(1500)),
        ("1,000 ms", Limit(1000)),
        ("2 Seconds", Limit(2000)),
        ("1 min", Limit(60_000)),
        ("0.5ms", Limit(0.5)),
        ("at most 100 ms", Limit(100)),
        ("<= 100ms", Limit(100)),
        ("within 2s", Limit(2000)),
        ("max 2s", Limit(2000)),
        ("under 100 ms", Limit(100, below=True)),
        ("<2s", Limit(2000, below=True)),
        ("none", Limit(math.inf)),
    ],
)
def test_limit_is_understood(text: str, value: Limit) -> None:
    assert limit(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", "has no unit"),
        ("", "nothing is said"),
        ("fast", "is no time"),
        ("0s", "out of bounds"),
        ("-1s", "is no time"),
        ("2 parsecs", "is no time"),
        ("1,5 s", "is no time"),
        ("50-100ms", "is no time"),
        ("1000 h", "out of bounds"),
    ],
)
def test_limit_that_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueFormatError, match=said):
        limit(text)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("hourly", 1 / 24),
        ("daily", 1),
        ("Weekly", 7),
        ("biweekly", 14),
        ("every two weeks", 14),
        ("every other week", 14),
        ("every 10 days", 10),
        ("every 1.5 weeks", 10.5),
        ("two weeks", 14),
        ("once every two weeks", 14),
        ("every 30 minutes", 1 / 48),
        ("4x a year", 91.3125),
        ("twice a week", 3.5),
        ("3 times a day", 1 / 3),
        ("once a year", 365.25),
        ("every month", 30.4375),
        ("quarterly", 91.3125),
        ("constantly", 0),
        ("never", math.inf),
    ],
)
def test_period_is_understood(text: str, days: float) -> None:
    assert period_days(text) == pytest.approx(days)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sometimes", "is no period"),
        ("", "nothing is said"),
        ("every 0 days", "is no period"),
        ("0 times a day", "is no period"),
        ("every", "is no period"),
        ("every blue week", "is no period"),
        ("twice week", "is no period"),
        ("bimonthly", "twice a month or every two months"),
        ("10", "is no period"),
    ],
)
def test_period_that_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueFormatError, match=said):
        period_days(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("99.9ms", "99.9 ms"), ("168 h", "168 h"), ("7200s", "2 h"), ("none", "no limit")],
)
def test_limit_is_said_as_it_was_meant(text: str, said: str) -> None:
    assert str(limit(text)) == said
    assert "of no limit" not in limit(text).phrase
