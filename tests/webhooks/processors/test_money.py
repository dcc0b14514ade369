"""Amounts in every currency: what an adapter reads is what pages show, whichever way a processor writes it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local import samples
from models.currencies import CURRENT, WITHDRAWN, digits
from models.payments.facts import Fact, Linked, Paid, Reversed
from models.wording import amount, minor_units, money
from runtime.settings import Endpoint
from tests.webhooks.deliveries import received
from webhooks.processors import ADAPTERS, Delivery, Processor, Unusable, processor_named, strict

KNOWN = sorted({*CURRENT, *WITHDRAWN})
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)
MINOR = 890_000
"""Which every processor can write: a multiple of a hundred, also where there are three digits or four."""


def adapter(processor: str, currency: str) -> Processor:
    kind = processor_named(processor)
    options = kind.trial.options | ({"currency": currency} if "currency" in kind.options else {})
    return kind(
        Endpoint(name="money", processor=processor, mode="test", secrets=(kind.trial.secret(),), options=options)
    )


def told(on: Processor, name: str, currency: str) -> list[Fact]:
    """What the deliveries of that sample, in that currency, mean."""
    made = samples.sample(
        on.endpoint.processor,
        name,
        reference="sub_1",
        number="7",
        now=NOW,
        amount_minor=MINOR,
        currency=currency,
        digits=on.digits,
    )
    facts: list[Fact] = []
    for content, api in made:
        # PayPal's signature takes a certificate, which says nothing of money.
        signed = on.sign(content, int(NOW.timestamp())) if on.endpoint.processor != "paypal" else Delivery(content, {})
        named = [json.dumps(found).encode() for (kind, _), found in api.items() if kind != "events"]
        for part in on.parse(signed.body, received(signed.headers)):
            facts += on.interpret(part.type, part.body, named[0] if part.thin else None)
    return facts


@pytest.mark.parametrize("processor", sorted(ADAPTERS))
def test_every_processor_tells_of_money_in_isos_minor_units(processor: str) -> None:
    for currency in KNOWN:
        facts = told(adapter(processor, currency), "refunded", currency)
        assert {Paid, Reversed} <= {type(fact) for fact in facts}
        sums = {(fact.amount_minor, fact.currency) for fact in facts if not isinstance(fact, Linked)}
        assert sums - {(None, None)} == {(MINOR, currency)}, "or all of it, without a figure"


@given(st.sampled_from(KNOWN), st.integers(0, 10**12))
def test_a_decimal_amount_is_what_pages_show(currency: str, minor: int) -> None:
    written = amount(minor, currency)
    assert strict.decimal_amount({"amount": written}, "amount", currency) == minor
    assert minor % 10 == 0 or minor_units(written, currency) == minor


@pytest.mark.parametrize("currency", KNOWN)
def test_more_digits_than_the_minor_unit_has_are_no_amount(currency: str) -> None:
    precision = digits(currency)
    assert strict.decimal_amount({"amount": "89"}, "amount", currency) == 89 * 10**precision
    assert strict.decimal_amount({"amount": f"89.{'0' * (precision + 1)}"}, "amount", currency) == 89 * 10**precision
    with pytest.raises(Unusable, match=f"not an amount in {currency}"):
        strict.decimal_amount({"amount": f"89.{'0' * precision}1"}, "amount", currency)
    assert minor_units(money(89 * 10**precision, currency), currency) == 89 * 10**precision


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "XDR", "ZZZ"])
def test_what_has_no_minor_unit_is_no_currency_of_a_payment(code: str) -> None:
    with pytest.raises(Unusable, match=f"currency is {code}, which is no currency that we know the minor unit of"):
        strict.currency({"currency": code}, "currency")
