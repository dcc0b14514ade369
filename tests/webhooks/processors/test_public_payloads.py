"""The processors' own published samples, each delivered and read: facts, or ignored for a reason of its own.

They are not part of this repository; where they are not beside it, this is skipped.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from tests.webhooks.deliveries import NOW, endpoint, received
from webhooks.processors import Ignored, Unusable

FOLDER = Path(__file__).parents[4] / "shared" / "payloads"
if not FOLDER.is_dir():
    pytest.skip(f"the published samples are not in {FOLDER}", allow_module_level=True)

SECRETS = {
    "adyen": "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    "gocardless": "secret",
    "square": "secret",
    "stripe": "whsec_test",
}
OPTIONS = {"square": {"url": "https://gym.example/webhooks/square"}}

ABOUT_MONEY = {
    "adyen": "AUTHORISATION|CAPTURE.*|CANCEL.*|TECHNICAL_CANCEL|.*REFUND.*|.*CHARGEBACK.*|PREARBITRATION.*|AUTORESCUE",
    "gocardless": r"(payments|refunds)\..*",
    "square": r"(payment|refund)\..*|dispute\.(created|state\..*)"
    r"|invoice\.(canceled|payment_made|refunded|scheduled_charge_.*)|subscription\.updated",
    "stripe": r"(charge|refund|payment_intent|invoice_payment)\..*"
    r"|invoice\.(paid|overpaid|payment_.*|marked_uncollectible|voided)|checkout\.session\.(completed|async_.*)"
    r"|customer\.subscription\.(deleted|updated)",
}
"""Of what types it has to be said deliberately what they mean."""


class Published(NamedTuple):
    """One sample as it is delivered, and what the processor's API would tell of it."""

    name: str
    processor: str
    content: bytes
    resources: dict[str, Any]


def _stripe_event(kind: str, data: dict[str, Any]) -> bytes:
    event = {"id": "evt_1", "object": "event", "created": NOW, "livemode": False, "type": kind, "data": data}
    return json.dumps(event).encode()


STRIPE_TYPES = {
    "charge": "charge.captured charge.expired charge.failed charge.pending charge.refunded charge.succeeded"
    " charge.updated",
    "checkout.session": "checkout.session.async_payment_failed checkout.session.async_payment_succeeded"
    " checkout.session.completed checkout.session.expired",
    "dispute": "charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated"
    " charge.dispute.funds_withdrawn charge.dispute.updated",
    "invoice": "invoice.created invoice.deleted invoice.finalization_failed invoice.finalized invoice.overdue"
    " invoice.marked_uncollectible invoice.overpaid invoice.paid invoice.payment_action_required"
    " invoice.payment_attempt_required invoice.payment_failed invoice.payment_succeeded invoice.sent"
    " invoice.upcoming invoice.updated invoice.voided invoice.will_be_due",
    "invoice_payment": "invoice_payment.paid",
    "payment_intent": "payment_intent.amount_capturable_updated payment_intent.canceled payment_intent.created"
    " payment_intent.partially_funded payment_intent.payment_failed payment_intent.processing"
    " payment_intent.requires_action payment_intent.succeeded",
    "refund": "charge.refund.updated refund.created refund.failed refund.updated",
    "subscription": "customer.subscription.created customer.subscription.deleted customer.subscription.updated",
    "balance_transaction": "balance.available",
    "payment_method": "payment_method.attached payment_method.updated",
}
"""The types of the events that hold such an object."""


def _stripe() -> Iterator[Published]:
    for file in sorted(FOLDER.glob("*stripe/*.json")):
        value = json.loads(file.read_text())
        name = f"{file.parent.name}/{file.stem}"
        if value["object"] == "event":
            yield Published(name, "stripe", file.read_bytes(), {})
        elif isinstance(value["object"], dict):
            kind = file.stem.partition("__")[2]
            yield Published(name, "stripe", _stripe_event(kind, value), {})
        else:
            for kind in STRIPE_TYPES[value["object"]].split():
                yield Published(f"{name} in {kind}", "stripe", _stripe_event(kind, {"object": value}), {})


GOCARDLESS_ACTIONS = {
    "payments": "created customer_approval_granted customer_approval_denied submitted confirmed paid_out cancelled"
    " failed charged_back chargeback_cancelled late_failure_settled chargeback_settled resubmission_requested"
    " surcharge_fee_debited surcharge_fee_credited",
    "refunds": "created failed paid refund_settled bounced funds_returned",
    "mandates": "created submitted active cancelled failed replaced",
    "subscriptions": "created customer_approval_granted payment_created amended finished cancelled",
    "payouts": "paid fx_rate_confirmed tax_exchange_rates_confirmed",
}


def _gocardless() -> Iterator[Published]:
    resources = {
        kind: json.loads((FOLDER / "gocardless" / f"{kind}.json").read_text())["get"]["body"][kind]
        for kind in ("payments", "refunds")
    }
    for file in sorted((FOLDER / "gocardless").glob("*.json")):
        value, name = json.loads(file.read_text()), f"gocardless/{file.stem}"
        if "events" in value:
            yield Published(name, "gocardless", file.read_bytes(), resources)
        elif file.stem == "events":
            for way, answer in value.items():
                found = answer["body"]["events"]
                batch = {"events": found if isinstance(found, list) else [found]}
                yield Published(f"{name} {way}", "gocardless", json.dumps(batch).encode(), resources)
        elif file.stem in GOCARDLESS_ACTIONS:
            for action in GOCARDLESS_ACTIONS[file.stem].split():
                yield _gocardless_event(name, file.stem, action, resources)


def _gocardless_event(name: str, kind: str, action: str, resources: dict[str, Any]) -> Published:
    """The published event, of another type."""
    event = json.loads((FOLDER / "gocardless" / "events.json").read_text())["get"]["body"]["events"]
    event |= {"resource_type": kind, "action": action}
    return Published(f"{name} {action}", "gocardless", json.dumps({"events": [event]}).encode(), resources)


OF_WHOLE: dict[str, Any] = {"invoice": {"id": "CAISENgvlJ6jLWAzERDzjyHVybY", "line_items": []}}
"""The order of Square's invoices."""


def _whole(processor: str) -> Iterator[Published]:
    """Published as they are delivered."""
    for file in sorted((FOLDER / processor).glob("*.json")):
        # Adyen's notices of changed bank accounts are another webhook, which no endpoint of ours is for.
        if "NOTIFICATION_OF_CHANGE" not in file.stem and "NOTICE_OF_CHANGE" not in file.stem:
            yield Published(f"{processor}/{file.stem}", processor, file.read_bytes(), OF_WHOLE)


PUBLISHED = [*_stripe(), *_gocardless(), *_whole("adyen"), *_whole("square")]


FACTS = {
    "adyen/AUTHORISATION-authorisation": "Paid",
    "adyen/CANCELLATION-cancellation": "Reversed",
    "adyen/CANCEL_OR_REFUND-cancel_or_refund": "Reversed",
    "adyen/CAPTURE-capture": "Restored",
    "adyen/CAPTURE_FAILED-capture_failed": "Reversed",
    "adyen/CHARGEBACK-chargeback": "Reversed",
    "adyen/EXPIRE-expire": "Reversed",
    "adyen/ORDER_CLOSED-order_closed": "Linked Reversed",
    "adyen/REFUNDED_REVERSED-refunded_reversed": "Restored",
    "adyen/REFUND_FAILED-refund_failed": "Restored",
    "adyen/REFUND_WITH_DATA-refund_with_data": "Reversed",
    "adyen/TECHNICAL_CANCEL-technical_cancel": "Reversed",
    "gocardless/events get": "Announced",
    "gocardless/events list": "Announced",
    "gocardless/mandates cancelled": "Announced",
    "gocardless/mandates failed": "Announced",
    "gocardless/mandates replaced": "Replaced",
    "gocardless/payments charged_back": "Reversed",
    "gocardless/payments chargeback_cancelled": "Restored",
    "gocardless/payments confirmed": "Paid Restored",
    "gocardless/payments failed": "Reversed DuesFailed",
    "gocardless/payments paid_out": "Paid Restored",
    "gocardless/refunds bounced": "Restored",
    "gocardless/refunds failed": "Restored",
    "gocardless/refunds funds_returned": "Restored",
    "gocardless/refunds paid": "Reversed",
    "gocardless/refunds refund_settled": "Reversed",
    "gocardless/subscriptions cancelled": "Announced",
    "gocardless/subscriptions finished": "Announced",
    "pay-rails-stripe/stripe__charge.refunded": "Reversed Linked",
    "pay-rails-stripe/stripe__invoice in invoice.paid": "Paid Linked Linked",
    "pay-rails-stripe/stripe__invoice in invoice.payment_failed": "DuesFailed",
    "pay-rails-stripe/stripe__invoice in invoice.voided": "DuesFailed",
    "pay-rails-stripe/stripe__invoice.payment_failed": "DuesFailed",
    "square/DisputeCreatedEvent": "Reversed",
    "square/DisputeStateChangedEvent": "Restored",
    "square/DisputeStateUpdatedEvent": "Restored",
    "square/InvoiceCanceledEvent": "DuesFailed",
    "square/InvoicePaymentMadeEvent": "Paid",
    "square/InvoiceScheduledChargeFailedEvent": "DuesFailed",
    "square/PaymentUpdatedEvent": "Linked Restored",
    "square/RefundUpdatedEvent": "Reversed",
    "square/SubscriptionUpdatedEvent": "Announced Announced",
    "stripe/charge in charge.refunded": "Reversed",
    "stripe/invoice in invoice.payment_failed": "DuesFailed",
    "stripe/invoice in invoice.voided": "DuesFailed",
    "stripe/refund in charge.refund.updated": "Reversed",
    "stripe/refund in refund.created": "Reversed",
    "stripe/refund in refund.failed": "Reversed",
    "stripe/refund in refund.updated": "Reversed",
    "stripe/subscription in customer.subscription.deleted": "Announced",
    "stripe/subscription in customer.subscription.updated": "Announced",
}
"""What the samples tell. Stripe's and Square's invoices are a shop's, of no subscription: their payers are known."""

UNUSABLE = {
    "adyen/CHARGEBACK_REVERSED-chargeback_reversed": "originalReference is missing",
    "adyen/PREARBITRATION_LOST-prearbitration_lost": "originalReference is missing",
    "adyen/PREARBITRATION_WON-prearbitration_won": "originalReference is missing",
    "adyen/SECOND_CHARGEBACK-second_chargeback": "originalReference is missing",
    "pay-rails-stripe/stripe__account.updated": "account is 'acct_00000000000000', but the endpoint's account is None",
}
"""Sample -> why nothing can be made of it."""


class Read(NamedTuple):
    """One event of a delivery: the names of its facts, or why it has none."""

    kind: str
    facts: str = ""
    ignored: str = ""
    unusable: str = ""


def _read(one: Published) -> Iterator[Read]:
    """Signs, verifies, splits and interprets, in the mode that the sample is of."""
    mode: Literal["live", "test"] = "live" if json.loads(one.content).get("live") == "true" else "test"
    on = endpoint(one.processor, SECRETS[one.processor], mode=mode, **OPTIONS.get(one.processor, {}))
    delivery = on.sign(one.content, NOW)
    headers = received(delivery.headers)
    assert on.verify(delivery.body, headers, NOW) is None
    for part in on.parse(delivery.body, headers):
        assert part.quarantine_reason is None
        resource = one.resources[part.type.partition(".")[0]] if part.thin else None
        try:
            facts = on.interpret(part.type, part.body, resource and json.dumps(resource).encode())
            yield Read(part.type, " ".join(type(fact).__name__ for fact in facts))
        except Ignored as why:
            yield Read(part.type, ignored=str(why))
        except Unusable as why:
            yield Read(part.type, unusable=str(why))


@pytest.mark.parametrize("one", PUBLISHED, ids=[one.name for one in PUBLISHED])
def test_what_it_means_is_said_deliberately(one: Published) -> None:
    for read in _read(one):
        assert read.facts == FACTS.get(one.name, "")
        assert UNUSABLE.get(one.name, "") in read.unusable
        assert bool(read.unusable) == (one.name in UNUSABLE)
        if re.fullmatch(ABOUT_MONEY[one.processor], read.kind):
            assert not re.search("says nothing about dues$|does not know", read.ignored), read.kind


def test_the_tables_name_samples() -> None:
    assert FACTS.keys() | UNUSABLE.keys() <= {one.name for one in PUBLISHED}
