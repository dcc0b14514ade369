"""The currencies of ISO 4217: the table is ISO's, and what is shown of an amount can be read back in each of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from models.currencies import CURRENT, WITHDRAWN, digits, is_known
from models.errors import WrongCurrencyCode
from models.wording import amount, currency_code, minor_units, money

ISO = {currency.code: currency.exponent for currency in Currency}
"""The list that ISO publishes, as a package of its own keeps it; None where a currency has no minor unit."""
KNOWN = sorted({*CURRENT, *WITHDRAWN})
AMOUNTS = [0, 1, 99, 8900, 10**6, 10**12 - 1]


def test_the_table_is_isos() -> None:
    assert {code: exponent for code, exponent in ISO.items() if exponent is not None} == CURRENT


def test_what_is_withdrawn_is_on_isos_list_no_more_and_can_still_be_read() -> None:
    assert not ISO.keys() & WITHDRAWN.keys()
    assert all(is_known(code) and digits(code) == 2 for code in WITHDRAWN)


@pytest.mark.parametrize("code", [*sorted(code for code, exponent in ISO.items() if exponent is None), "ZZZ", "DEM"])
def test_what_has_no_minor_unit_is_no_currency_of_dues(code: str) -> None:
    assert not is_known(code)
    with pytest.raises(WrongCurrencyCode, match=f"'{code}' is not a currency that dues can be paid in"):
        currency_code(code)


@pytest.mark.parametrize("code", KNOWN)
def test_what_is_shown_can_be_typed_in_every_currency(code: str) -> None:
    assert currency_code(code.lower()) == code
    for minor in AMOUNTS:
        assert minor_units(money(minor, code), code) == minor
        assert minor_units(amount(minor, code), code) == minor
        whole, _, part = amount(minor, code).partition(".")
        assert (len(part), int(whole + part)) == (digits(code), minor)
        assert money(minor, code).endswith(f"{int(whole):,}" + (f".{part}" if part else ""))


@given(st.sampled_from(KNOWN), st.integers(0, 10**12 - 1))
def test_any_amount_can_be_read_back(code: str, minor: int) -> None:
    assert minor_units(money(minor, code), code) == minor_units(amount(minor, code), code) == minor


@pytest.mark.parametrize(
    ("minor", "code", "shown"),
    [
        (8900, "RSD", "RSD\xa089.00"),
        (89000, "IQD", "IQD\xa089.000"),
        (8900, "ALL", "ALL\xa089.00"),
        (8900, "LBP", "LBP\xa089.00"),
        (890000, "CLF", "CLF\xa089.0000"),
        (8900, "HUF", "HUF\xa089.00"),
        (8900, "BGN", "BGN\xa089.00"),
        (8900, "CAD", "CA$89.00"),
    ],
)
def test_the_decimals_are_isos_and_not_those_in_which_people_like_to_write(minor: int, code: str, shown: str) -> None:
    assert money(minor, code) == shown
    assert minor_units("89", code) == minor


def test_an_old_row_of_an_unknown_currency_is_shown_all_the_same() -> None:
    assert money(8900, "ZZZ") == "ZZZ\xa089.00"
