"""Amounts and payment terms in plain words, and amounts as people type them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.currencies import digits
from models.errors import NotAnAmount, WrongCurrencyCode
from models.wording import age, counted, currency_code, minor_units, money, price, sessions, term_sentence


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
    ("interval", "count", "said", "told"),
    [
        ("week", 1, "$20.00 every week", "Each $20.00 weekly payment gives"),
        ("month", 1, "$20.00 every month", "Each $20.00 monthly payment gives"),
        ("year", 1, "$20.00 every year", "Each $20.00 yearly payment gives"),
        ("week", 2, "$20.00 every 2 weeks", "Each $20.00 payment every 2 weeks gives"),
        ("month", 3, "$20.00 every 3 months", "Each $20.00 payment every 3 months gives"),
        ("once", 1, "$20.00 once", "The one-time $20.00 payment gives"),
    ],
)
def test_how_often_dues_fall_due_is_told(interval: str, count: int, said: str, told: str) -> None:
    assert price(2000, "USD", interval, count) == said
    assert term_sentence(2000, "USD", interval, count, []) == f"{told} no sessions."
    assert term_sentence(2000, "USD", interval, count, [("Spin", 2, 0)]) == f"{told} 2 Spin sessions (never expire)."


def test_the_sentence_lists_what_each_payment_gives() -> None:
    gives = [("Personal Training", 4, 30), ("Class", 8, 0)]
    told = (
        "Each $89.00 monthly payment gives 4 Personal Training sessions (30 days) and 8 Class sessions (never expire)."
    )
    assert term_sentence(8900, "USD", "month", 1, gives) == told
    three = term_sentence(8900, "USD", "month", 1, [*gives, ("Spin", 1, 1)])
    assert three.endswith("(30 days), 8 Class sessions (never expire), and 1 Spin session (1 day).")


def test_items_that_are_not_used_are_left_out() -> None:
    told = term_sentence(8900, "JPY", "month", 1, [("Spin", 0, 0), ("Class", 1, 0), ("Yoga", 0, 0)])
    assert told == "Each ¥8,900 monthly payment gives 1 Class session (never expires)."
    assert term_sentence(100, "USD", "month", 1, [("Spin", 0, 0)]) == "Each $1.00 monthly payment gives no sessions."


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
    assert sessions(item, quantity, 30) == f"{said} (30 days)"


def test_one_is_singular() -> None:
    assert [counted(number, "membership") for number in (0, 1, 2000)] == [
        "0 memberships",
        "1 membership",
        "2,000 memberships",
    ]
    assert sessions("Spin", 1, 1) == "1 Spin session (1 day)"


@pytest.mark.parametrize(
    ("waited", "said"),
    [(-3, "0 s"), (0.9, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_an_age_is_told_in_the_largest_unit_that_says_it(waited: float, said: str) -> None:
    assert age(timedelta(seconds=waited)) == said
