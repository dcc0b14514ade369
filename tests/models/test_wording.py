"""Amounts, durations and counts in plain words, and amounts as people type them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.currencies import digits
from models.errors import NotAnAmount, WrongCurrencyCode
from models.wording import (
    counted,
    currency_code,
    duration,
    joined,
    lasting,
    minor_units,
    money,
    price,
    sessions_of,
)


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        (8900, "USD", "$89.00"),
        (108950, "USD", "$1,089.50"),
        (5, "EUR", "€0.05"),
        (8900, "JPY", "¥8,900"),
        (1, "KWD", "KWD0.001"),
        (-100, "USD", "-$1.00"),
    ],
)
def test_money_has_its_symbol_and_decimals(minor: int, currency: str, said: str) -> None:
    assert money(minor, currency).replace("\xa0", "") == said


@given(st.integers(0, 10**9), st.sampled_from(["USD", "EUR", "GBP", "CHF", "JPY", "RSD", "ISK", "KWD", "CLF"]))
def test_whole_amounts_can_be_typed_without_decimals(whole: int, currency: str) -> None:
    minor = whole * 10 ** digits(currency)
    assert minor_units(str(whole), currency) == minor_units(f" {whole:,} ", currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("89", "USD", 8900),
        ("89.00", "USD", 8900),
        ("$1,089.50", "USD", 108950),
        ("$ 89", "USD", 8900),
        ("0", "USD", 0),
        ("8900", "JPY", 8900),
        ("0.005", "KWD", 5),
        ("999999999999.99", "USD", 10**14 - 1),
    ],
)
def test_amounts_are_read_to_the_cent(text: str, currency: str, minor: int) -> None:
    assert minor_units(text, currency) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "$",
        "x",
        "-5",
        "+5",
        "89.5",
        "89.",
        "89.000",
        ".50",
        "89,00",
        "1,08",
        "10,89.00",
        ",100",
        "1e3",
        "8 9",
        "$$5",
        "€5",
        "5$",
        "NaN",
        "٨٩",
        "89\n00",
        "1" * 13,
        "1,111,111,111,111",
        "1" * 5000,
        "1,2345",
        "1089,000",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(NotAnAmount, match=r"not an amount in USD: type it like 89\.00\.$"):
        minor_units(text, "USD")


@pytest.mark.parametrize("text", ["89.00", "89."])
def test_yen_have_no_decimals(text: str) -> None:
    with pytest.raises(NotAnAmount, match=rf"'{text}' is not an amount in JPY: type it like 89\.$"):
        minor_units(text, "JPY")


@pytest.mark.parametrize("text", ["USD", " usd ", "Eur", "JPY"])
def test_a_currency_is_known_by_its_code(text: str) -> None:
    assert currency_code(text) == text.strip().upper()


@pytest.mark.parametrize("text", ["", "US", "ZZZ", "dollars", "$", "US1", "USD EUR"])
def test_what_is_no_currency_is_refused(text: str) -> None:
    with pytest.raises(WrongCurrencyCode, match="its three letters, such as USD"):
        currency_code(text)


@pytest.mark.parametrize(
    ("interval", "count", "said"),
    [
        ("week", 1, "$20.00 every week"),
        ("month", 1, "$20.00 every month"),
        ("week", 2, "$20.00 every 2 weeks"),
        ("once", 1, "$20.00 once"),
    ],
)
def test_how_often_dues_fall_due_is_told(interval: str, count: int, said: str) -> None:
    assert price(2000, "USD", interval, count) == said


@pytest.mark.parametrize(
    ("item", "quantity", "said"),
    [
        ("Spin", 1, "1 Spin session"),
        ("Spin", 10000, "10,000 Spin sessions"),
        ("PT Session", 4, "4 PT sessions"),
        ("PT Sessions ", 1, "1 PT session"),
        ("PT SESSION(S)", 4, "4 PT sessions"),
        ("Sessions", 4, "4 sessions"),
        ("Obsession", 4, "4 Obsession sessions"),
        ("Session Pass", 4, "4 Session Pass sessions"),
    ],
)
def test_the_word_session_is_not_doubled(item: str, quantity: int, said: str) -> None:
    assert sessions_of(item, quantity) == said


def test_one_is_singular() -> None:
    assert [counted(number, "membership") for number in (0, 1, 2000)] == [
        "0 memberships",
        "1 membership",
        "2,000 memberships",
    ]
    assert [lasting(days) for days in (0, 1, 30)] == ["never expiring", "1 day", "30 days"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b, and c"),
        (["a, twice", "b"], "a, twice, and b"),
    ],
)
def test_parts_are_enumerated(parts: list[str], said: str) -> None:
    assert joined(parts) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "\N{EN DASH}"),
        (-3, "0 s"),
        (0, "0 s"),
        (0.0304, "30 ms"),
        (1.24, "1.2 s"),
        (12.9, "13 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
    ],
)
def test_a_duration_is_told_in_the_largest_unit_that_says_it(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
    assert duration(seconds if seconds is None else timedelta(seconds=seconds)) == said
