"""Types of events about money that this version does not know: staff are told at the payment, where one is named."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from models.payments.facts import Noted
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, recorded
from webhooks.processors import ADAPTERS, Ignored, Processor, processor_named


def on(processor: str) -> Processor:
    trial = processor_named(processor).trial
    return endpoint(processor, trial.secret(), **trial.options)


def without_types(processor: str, name: str) -> bytes:
    if processor == "braintree":
        return (PAYLOADS / "braintree" / f"{name}.xml").read_bytes()
    body = recorded(processor)[name]
    return json.dumps(json.loads(body)["events"][0]).encode() if processor == "gocardless" else body


class Case(NamedTuple):
    """A body of this name that comes with a type of the future, and the payment that it names."""

    processor: str
    name: str
    type: str
    payment: str


CASES = [
    Case("stripe", "invoice_paid", "invoice.partially_paid", "in_Gym0001"),
    Case("stripe", "invoice_paid_before_basil", "invoice.partially_paid", "in_Gym0001"),
    Case("stripe", "charge_refunded", "charge.refund_reversed", "pi_Gym0001"),
    Case("stripe", "refund_created", "refund.reversed", "pi_Gym0001"),
    Case("stripe", "dispute_closed", "charge.dispute.reopened", "pi_Gym0001"),
    Case("stripe", "credit_note_created", "credit_note.applied", "in_Gym0001"),
    Case("stripe", "invoice_payment_paid", "invoice_payment.returned", "in_Gym0001"),
    Case("gocardless", "payment_confirmed", "payments.returned", "PMGym0001"),
    Case("gocardless", "payment_charged_back", "payments.recalled", "PMGym0001"),
    Case("adyen", "chargeback", "NEW_IN_2030", "PGYM0001PAY00001"),
    Case("adyen", "capture", "capture", "PGYM0001PAY00001"),
    Case("square", "invoice_payment_made", "invoice.partly_refunded", "orderGym0001"),
    Case("square", "payment_updated", "payment.returned", "orderGym0001"),
    Case("square", "refund_created", "refund.reversed", "payGym0001"),
    Case("square", "dispute_lost", "dispute.reopened", "payGym0001"),
    Case("braintree", "subscription_charged_successfully", "subscription_charged_in_part", "tx_Gym0001"),
    Case("braintree", "transaction_settled", "transaction_returned", "tx_Gym0001"),
    Case("braintree", "transaction_settled_refund", "transaction_returned", "tx_Gym0001"),
    Case("braintree", "dispute_lost", "dispute_reopened", "tx_Gym0001"),
    Case("authorize_net", "authcapture_created", "net.authorize.payment.returned.created", "60020980001"),
    Case("standard_webhooks", "payment_paid", "payment.partly_paid", "pay_0001"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.processor} {case.type}")
def test_staff_are_told_at_the_payment(case: Case) -> None:
    adapter, body = on(case.processor), without_types(case.processor, case.name)
    (fact,) = adapter.interpret(case.type, body)
    assert isinstance(fact, Noted)
    assert fact.payment == case.payment
    what = f"{case.processor} sent {case.type}, which this version does not know: see the payment there"
    assert fact.what == what


@pytest.mark.parametrize(
    ("processor", "name", "type"),
    [
        ("stripe", "unknown_type", "invoice.merged"),
        ("gocardless", "mandate_replaced", "payments.merged"),
        ("adyen", "authorisation", "NEW_IN_2030"),
        ("square", "unknown_type", "payment.merged"),
        ("braintree", "unknown_type", "transaction_merged"),
        ("standard_webhooks", "unknown_type", "payment.merged"),
        ("paypal", "unknown_type", "PAYMENT.MERGED"),
        ("paypal", "unknown_type", "BILLING.SUBSCRIPTION.PAYMENT.MERGED"),
    ],
)
def test_without_a_payment_the_reason_says_so(processor: str, name: str, type: str) -> None:
    with pytest.raises(Ignored, match="this version does not know, and it names no payment"):
        on(processor).interpret(type, without_types(processor, name))


@pytest.mark.parametrize("processor", ADAPTERS)
def test_no_type_that_is_known_is_unknown(processor: str) -> None:
    adapter = on(processor)
    assert adapter.about_money
    for known in (*adapter.meanings, *adapter.reasons):
        assert not adapter.is_unknown(known)


SPOILED: list[Callable[[bytes], bytes]] = [
    lambda body: changed(body, created=None),
    lambda body: changed(body, data__object=None),
    lambda body: changed(body, data__object__id=7),
]


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_shape_that_is_unknown_too_is_no_fault(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Ignored, match="names no payment"):
        on("stripe").interpret("invoice.partially_paid", spoil(recorded("stripe")["invoice_paid"]))


def test_what_failed_is_not_told() -> None:
    with pytest.raises(Ignored, match="failed attempt"):
        on("adyen").interpret("NEW_IN_2030", _item(success="false"))
    declined = recorded("authorize_net")["authcapture_declined"]
    with pytest.raises(Ignored, match="declined"):
        on("authorize_net").interpret("net.authorize.payment.returned.created", declined)


def _item(**changes: Any) -> bytes:
    item = "notificationItems__0__NotificationRequestItem"
    return changed(recorded("adyen")["chargeback"], **{f"{item}__{key}": value for key, value in changes.items()})


def test_a_thin_one_is_fetched_for_it() -> None:
    thin = changed(recorded("stripe")["thin_invoice_paid"], type="v1.invoice.partially_paid")
    (part,) = on("stripe").parse(thin, {})
    assert part.thin
    invoice = json.dumps(json.loads(recorded("stripe")["invoice_paid"])["data"]["object"]).encode()
    (fact,) = on("stripe").interpret(part.type, part.body, invoice)
    assert isinstance(fact, Noted)
    assert fact.payment == "in_Gym0001"
